// Command sprat makes and runs models of DeepSeek's V2 and V3 shape. 'sprat --help' lists its verbs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line.
type cli struct {
	Serve          serveCmd          `cmd:"" default:"withargs" help:"Open the chat: a page in the browser and the API, on this machine alone. The verb may be left out."`
	Generate       generateCmd       `cmd:"" help:"Continue a prompt."`
	Logits         logitsCmd         `cmd:"" help:"Print the logits after each token, one JSON line a position."`
	Inspect        inspectCmd        `cmd:"" help:"Show a model's architecture, parameters and cache size."`
	Tokenize       tokenizeCmd       `cmd:"" help:"Turn lines of standard input into token ids, or back."`
	TrainTokenizer trainTokenizerCmd `cmd:"" help:"Train a tokenizer by a run file."`
	Pretrain       pretrainCmd       `cmd:"" help:"Train a model by a run file."`
	Eval           evalCmd           `cmd:"" help:"Ask a model problems, and count what it gets right."`
	SFT            sftCmd            `cmd:"" name:"sft" help:"Fine-tune a model on chats and worked problems, by a run file."`
	Distill        distillCmd        `cmd:"" help:"Fine-tune a model on what another got right, by a run file."`
	RL             rlCmd             `cmd:"" name:"rl" help:"Train a model by reinforcement, by a run file."`
	Quantize       quantizeCmd       `cmd:"" help:"Make a model with integers of 8 or 4 bits out of another."`
	Compare        compareCmd        `cmd:"" help:"Show training runs in one page and one table; of a single run, its own page."`
	Bench          benchCmd          `cmd:"" help:"Measure this machine and the kernels on it."`
}

// env is what a verb runs in.
type env struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(os.Args[1:], &env{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

// usageError marks a mistake on the command line.
type usageError struct{ error }

// run carries out a command line and returns the exit status.
func run(args []string, e *env) int {
	exit := -1
	parser, err := kong.New(&cli{},
		kong.Name("sprat"),
		kong.Description("DeepSeek-shaped language models in one program: make them, look into them, run them."),
		kong.Writers(e.stdout, e.stderr),
		kong.UsageOnError(),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Bind(e),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	command, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "sprat: %v; see 'sprat --help'\n", err)
		return exitUsage
	}
	return e.report(command.Run(e))
}

// report prints err as one line and returns the exit status that it stands for.
func (e *env) report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(e.stderr, "sprat: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}
