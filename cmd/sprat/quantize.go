package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/term"

	"sprat/config"
	"sprat/device/cpu"
	"sprat/quantize"
	"sprat/tokenizer"
)

type quantizeCmd struct {
	Model   string `arg:"" name:"model" help:"A directory in Hugging Face's form, or nano, the model inside this program."`
	Out     string `arg:"" name:"out" help:"The directory to make: new, or empty."`
	Bits    int    `help:"Bits of the linear layers, 4 or 8. The head has 8; embedding, norms, gates and kv_b_proj stay as they are." default:"8"`
	Method  string `help:"nearest; or calibrated: so that the layers' outputs on a text change least." enum:"nearest,calibrated" default:"nearest"`
	Group   int    `help:"Numbers of a row that share a scale: a multiple of 32." default:"32"`
	Data    string `help:"Text, as for training, to calibrate by and, its end, to measure by; without, a short one inside this program measures." placeholder:"F"`
	Threads int    `help:"Threads to compute on; 0 takes every core." default:"0"`
	JSON    bool   `help:"Print one JSON object."`
}

func (c *quantizeCmd) Run(e *env) error {
	o := quantize.Options{Name: c.Model, Bits: c.Bits, Group: c.Group, Calibrate: c.Method == "calibrated"}
	if err := o.Check(); err != nil {
		return usageError{err}
	}
	if o.Calibrate && c.Data == "" {
		return usageError{errors.New("--method calibrated goes by a text: give one with --data")}
	}
	if c.Threads < 0 {
		return usageError{fmt.Errorf("--threads %d: want 0 or more", c.Threads)}
	}
	from, err := modelFS(c.Model)
	if err != nil {
		return err
	}
	if o.Text, err = c.text(from); err != nil {
		return err
	}
	show := &percent{w: e.stderr}
	o.Progress = show.step
	dev := cpu.New(c.Threads)
	defer dev.Close()
	r, err := quantize.Run(e.ctx, dev, from, c.Out, o)
	show.end()
	switch {
	case err != nil:
		return fmt.Errorf("model %s: %w", c.Model, err)
	case c.JSON:
		return json.NewEncoder(e.stdout).Encode(r)
	}
	return c.print(e.stdout, r)
}

// text is what the loss is measured by: nothing for a model without a tokenizer.
func (c *quantizeCmd) text(dir fs.FS) (quantize.Text, error) {
	var none quantize.Text
	file, err := fs.ReadFile(dir, "tokenizer.json")
	if err != nil {
		if c.Data != "" {
			return none, noTokenizer(c.Model)
		}
		return none, nil
	}
	tok, err := tokenizer.Parse(file)
	if err != nil {
		return none, fmt.Errorf("model %s: tokenizer.json: %w", c.Model, err)
	}
	if c.Data == "" {
		return quantize.BuiltIn(tok), nil
	}
	cfg, err := config.LoadFS(dir)
	if err != nil {
		return none, fmt.Errorf("model %s: %w", c.Model, err)
	}
	eos := int32(-1)
	if len(cfg.EOSTokenIDs) > 0 {
		eos = cfg.EOSTokenIDs[0]
	}
	text, err := quantize.ReadText(c.Data, tok, eos)
	if err != nil {
		return none, fmt.Errorf("--data: %w", err)
	}
	return text, nil
}

func (c *quantizeCmd) print(w io.Writer, r quantize.Report) error {
	text := fmt.Sprintf("%-28s %d as integers, %d of them by the text; %d as they were\n", "tensors", r.Packed, r.Calibrated, r.Kept)
	text += fmt.Sprintf("%-28s %.2f, in groups of %d\n", "bits a weight", r.BitsPerWeight, r.Group)
	text += fmt.Sprintf("%-28s %s\n", "bytes", commas(r.Bytes))
	if f := r.Figures; f != nil {
		text += fmt.Sprintf("%-28s %s tokens\n", "text", commas(int64(f.Tokens)))
		text += fmt.Sprintf("%-28s %.3f, the original's %.3f\n", "perplexity", f.Weights.Perplexity, f.Original)
		text += fmt.Sprintf("%-28s %.5f nats a token; as it runs, with activations in 8 bits, %.5f\n", "KL to the original", f.Weights.KL, f.Run.KL)
		text += fmt.Sprintf("%-28s %.2f %% of the time; as it runs, %.2f %%\n", "the same likeliest token", 100*f.Weights.SameTop, 100*f.Run.SameTop)
	}
	if r.NotMeasured != "" {
		text += fmt.Sprintf("%-28s %s\n", "not measured", r.NotMeasured)
	}
	_, err := fmt.Fprint(w, text)
	return err
}

// percent shows how far something is: in place on a terminal, in a line from time to time elsewhere.
type percent struct {
	w     io.Writer
	last  time.Time
	shown bool
}

func (p *percent) step(what string, done, total int64) {
	file, ok := p.w.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd()))
	interval := 10 * time.Second
	if terminal {
		interval = 200 * time.Millisecond
	}
	if p.last.IsZero() {
		p.last = time.Now().Add(-interval / 2) // short work shows nothing
	}
	if time.Since(p.last) < interval {
		return
	}
	p.last = time.Now()
	if line := fmt.Sprintf("%3.0f %%  %s", 100*float64(done)/float64(total), what); terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.shown = true
	} else {
		fmt.Fprintln(p.w, line)
	}
}

// end clears the line.
func (p *percent) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
