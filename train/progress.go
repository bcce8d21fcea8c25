package train

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"sprat/report"
)

// progress shows a bar that is rewritten in place on a terminal, and a line from time to time elsewhere.
type progress struct {
	w           io.Writer
	terminal    bool
	total, from int64 // tokens: of the run, and where this session began
	start, last time.Time
	shown       string
}

// Between two lines, on a terminal and elsewhere.
const (
	liveInterval  = 200 * time.Millisecond
	plainInterval = 10 * time.Second
)

func newProgress(w io.Writer, total, from int64) *progress {
	p := &progress{w: w, total: total, from: from, start: time.Now()}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// step shows a step, if the last one shown is long enough ago.
func (p *progress) step(s report.Step) {
	interval := plainInterval
	if p.terminal {
		interval = liveInterval
	}
	if s.Tokens < p.total && !p.last.IsZero() && time.Since(p.last) < interval {
		return
	}
	p.last = time.Now()
	line := fmt.Sprintf("step %d  loss %.3f", s.Step, s.Loss)
	for _, l := range s.MTP {
		line += fmt.Sprintf("  mtp %.3f", l)
	}
	line += fmt.Sprintf("  norm %.2f  maxvio %.2f  %.0f tokens/s  %.2f of peak  %s left", s.GradNorm, s.MaxVio, s.TokensPerSecond, s.PeakShare, p.left(s.Tokens))
	share := float64(s.Tokens) / float64(p.total)
	if !p.terminal {
		fmt.Fprintf(p.w, "%3.0f %%  %s\n", 100*share, line)
		return
	}
	p.shown = p.fit(share, line)
	fmt.Fprintf(p.w, "\r\x1b[K%s", p.shown)
}

// left is the time to the end at this session's mean speed, evaluations and checkpoints included.
func (p *progress) left(tokens int64) time.Duration {
	done := max(1, tokens-p.from)
	left := time.Duration(float64(time.Since(p.start)) * float64(p.total-tokens) / float64(done))
	return left.Round(time.Second)
}

// barWidth is that of the bar where there is room for it.
const barWidth = 24

// fit puts bar and line into the terminal's width, so that they do not wrap: the bar goes first.
func (p *progress) fit(share float64, line string) string {
	percent := fmt.Sprintf("%3.0f %%  ", 100*share)
	full := int(share*barWidth + 0.5)
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full) + " "
	width, _, err := term.GetSize(int(p.w.(*os.File).Fd()))
	switch {
	case err != nil || width < 1 || barWidth+1+len(percent)+len(line) < width:
		return bar + percent + line
	case len(percent)+len(line) < width:
		return percent + line
	}
	return (percent + line)[:width-1]
}

// line prints a line of its own, above the bar.
func (p *progress) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !p.terminal || p.shown == "" {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s\n%s", text, p.shown)
}

// end leaves the bar that was rewritten in place.
func (p *progress) end() {
	if p.shown != "" {
		fmt.Fprintln(p.w)
		p.shown = ""
	}
}
