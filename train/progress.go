package train

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress prints a line that is rewritten in place on a terminal, and a line from time to time elsewhere.
type progress struct {
	w             io.Writer
	steps, tokens int // in all; a step
	terminal      bool
	start, last   time.Time
}

// Between two lines, on a terminal and elsewhere.
const (
	liveInterval  = 200 * time.Millisecond
	plainInterval = 10 * time.Second
)

func newProgress(w io.Writer, steps, tokens int) *progress {
	p := &progress{w: w, steps: steps, tokens: tokens, start: time.Now()}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

func (p *progress) elapsed() time.Duration { return time.Since(p.start) }

// step shows step n, counted from 1.
func (p *progress) step(n int, s stepResult) {
	interval := plainInterval
	if p.terminal {
		interval = liveInterval
	}
	if n > 1 && n < p.steps && time.Since(p.last) < interval {
		return
	}
	p.last = time.Now()
	each := p.elapsed() / time.Duration(n)
	line := fmt.Sprintf("step %d/%d  loss %.3f", n, p.steps, s.loss.Main)
	for _, l := range s.loss.MTP {
		line += fmt.Sprintf("  mtp %.3f", l)
	}
	line += fmt.Sprintf("  norm %.2f  maxvio %.2f  %.0f tokens/s  %s left",
		s.norm, s.maxVio, float64(p.tokens)/each.Seconds(), (each * time.Duration(p.steps-n)).Round(time.Second))
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", p.cut(line))
	} else {
		fmt.Fprintln(p.w, line)
	}
}

// cut shortens line to the terminal's width, so that it does not wrap.
func (p *progress) cut(line string) string {
	width, _, err := term.GetSize(int(p.w.(*os.File).Fd()))
	if err != nil || width < 1 || len(line) < width {
		return line
	}
	return line[:width-1]
}

// end leaves the line that was rewritten in place.
func (p *progress) end() {
	if p.terminal && !p.last.IsZero() {
		fmt.Fprintln(p.w)
	}
}
