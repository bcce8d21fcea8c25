//go:build unix

package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sprat/checkpoint"
	"sprat/safetensors"
)

// TestMain makes the test program a trainer where it is told to be one: what these tests kill.
func TestMain(m *testing.M) {
	if file := os.Getenv("SPRAT_TEST_PRETRAIN"); file != "" {
		os.Exit(pretrainProcess(file))
	}
	os.Exit(m.Run())
}

// pretrainProcess trains by the run file, going on where it can, on a disk that takes files up to a size if it is told one.
func pretrainProcess(file string) int {
	if size := os.Getenv("SPRAT_TEST_FILE_LIMIT"); size != "" {
		signal.Ignore(syscall.SIGXFSZ)
		var limit syscall.Rlimit
		fmt.Sscan(size, &limit.Cur)
		limit.Max = limit.Cur
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 3
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := Load(file, nil)
	if err == nil {
		err = Pretrain(ctx, c, Options{Resume: true}, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// trainer is a process that trains by a run file written for c.
func trainer(t *testing.T, c *Config, env ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	text, err := c.toml()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "run.toml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "SPRAT_TEST_PRETRAIN="+file), env...)
	var said strings.Builder
	cmd.Stderr = &said
	return cmd, &said
}

// wholeCheckpoints fails t unless everything that bears the name of a checkpoint can be read.
func wholeCheckpoints(t *testing.T, out string) (n int) {
	t.Helper()
	paths, err := checkpoint.Paths(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		r, err := safetensors.Open(path)
		if err != nil {
			t.Fatalf("a checkpoint is torn: %v", err)
		}
		r.Close()
	}
	return len(paths)
}

func weights(t *testing.T, out string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recorded is how many lines a run's record has so far.
func recorded(c *Config) int {
	b, _ := os.ReadFile(filepath.Join(c.Out, "metrics.jsonl"))
	return bytes.Count(b, []byte("\n"))
}

// TestKilledAnywhere kills a run fifty times at random moments, and lets it go on each time: what comes out is what comes out of
// a run that nobody disturbed, to the last bit.
func TestKilledAnywhere(t *testing.T) {
	kills := 2
	if os.Getenv("SPRAT_LONG") != "" {
		kills = 50
	}
	set := []string{fmt.Sprintf("train.steps=%d", 40*kills), "train.save_every=3"}
	undisturbed := tinyRun(t, set...)
	if cmd, said := trainer(t, undisturbed); cmd.Run() != nil {
		t.Fatal(said)
	}
	c := tinyRun(t, set...)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	landed := 0
	for range kills {
		cmd, said := trainer(t, c)
		// It is killed up to twenty steps further, of the forty that there are for each kill, however fast the machine; and a little later,
		// in the middle of something.
		until := recorded(c) + rng.IntN(21)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		for recorded(c) < until && len(exited) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		cmd.Process.Kill()
		var exit *exec.ExitError
		if err := <-exited; errors.As(err, &exit) && !exit.Exited() {
			landed++
		} else if err != nil {
			t.Fatalf("seed %d: %v: %s", seed, err, said)
		}
		wholeCheckpoints(t, c.Out)
	}
	if landed < kills/2 {
		t.Errorf("seed %d: only %d of %d kills met a run under way: the run is too short", seed, landed, kills)
	}
	if cmd, said := trainer(t, c); cmd.Run() != nil {
		t.Fatalf("seed %d: %s", seed, said)
	}
	if weights(t, c.Out) != weights(t, undisturbed.Out) {
		t.Errorf("seed %d: a run killed %d times gives other weights", seed, landed)
	}
}

func TestSignalsLeaveAGoodCheckpoint(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		c := tinyRun(t, "train.steps=100000", "train.save_every=10000")
		cmd, said := trainer(t, c)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The signal is for a run that has taken some steps: its record, read now and then, says when.
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if recorded(c) > 5 {
				break
			}
		}
		cmd.Process.Signal(sig)
		if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), "--resume") {
			t.Errorf("%v: %v, saying %q", sig, err, said)
		}
		if n := wholeCheckpoints(t, c.Out); n != 1 {
			t.Errorf("%v: %d checkpoints, want 1", sig, n)
		}
	}
}

// TestFullDiskKeepsTheLastCheckpoint has files that cannot grow to a checkpoint's size: the run goes on, and ends with an error
// and what was there before.
func TestFullDiskKeepsTheLastCheckpoint(t *testing.T) {
	c := tinyRun(t, "train.save_every=2")
	r := openRun(t, c, false, os.Stderr)
	r.steps(t, 4)
	if err := errors.Join(r.save(), r.saver.Wait(), r.record.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(checkpoint.Path(c.Out, 4))
	if err != nil {
		t.Fatal(err)
	}
	cmd, said := trainer(t, c, "SPRAT_TEST_FILE_LIMIT=100000")
	if err := cmd.Run(); err == nil || !strings.Contains(said.String(), "training goes on") || !strings.Contains(said.String(), "file too large") {
		t.Errorf("%v, saying %q", err, said)
	}
	after, err := os.ReadFile(checkpoint.Path(c.Out, 4))
	if err != nil || string(after) != string(before) {
		t.Errorf("the checkpoint before is not what it was: %v", err)
	}
	if n := wholeCheckpoints(t, c.Out); n != 1 {
		t.Errorf("%d checkpoints, want 1", n)
	}
}
