// Package progress shows how far long work has come: a bar that is rewritten in place on a terminal, and a line from time to time
// elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Bar shows work of a known amount, in any unit.
type Bar struct {
	w           io.Writer
	terminal    bool
	total, from int64 // of the whole work, and where this session began
	start, last time.Time
	shown       string
}

// Between two lines, on a terminal and elsewhere.
const (
	liveInterval  = 200 * time.Millisecond
	plainInterval = 10 * time.Second
)

// New returns a Bar on w of work of which from is done already.
func New(w io.Writer, total, from int64) *Bar {
	b := &Bar{w: w, total: total, from: from, start: time.Now()}
	if f, ok := w.(*os.File); ok {
		b.terminal = term.IsTerminal(int(f.Fd()))
	}
	return b
}

// Show shows where the work is, if the last time is long enough ago. text is asked for what to say of it.
func (b *Bar) Show(done int64, text func() string) {
	interval := plainInterval
	if b.terminal {
		interval = liveInterval
	}
	if done < b.total && !b.last.IsZero() && time.Since(b.last) < interval {
		return
	}
	b.last = time.Now()
	line := fmt.Sprintf("%s  %s left", text(), b.left(done))
	share := float64(done) / float64(b.total)
	if !b.terminal {
		fmt.Fprintf(b.w, "%3.0f %%  %s\n", 100*share, line)
		return
	}
	b.shown = b.fit(share, line)
	fmt.Fprintf(b.w, "\r\x1b[K%s", b.shown)
}

// left is the time to the end at this session's mean speed.
func (b *Bar) left(at int64) time.Duration {
	done := max(1, at-b.from)
	left := time.Duration(float64(time.Since(b.start)) * float64(b.total-at) / float64(done))
	return left.Round(time.Second)
}

// barWidth is that of the bar where there is room for it.
const barWidth = 24

// fit puts bar and line into the terminal's width, so that they do not wrap: the bar goes first.
func (b *Bar) fit(share float64, line string) string {
	percent := fmt.Sprintf("%3.0f %%  ", 100*share)
	full := int(share*barWidth + 0.5)
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full) + " "
	width, _, err := term.GetSize(int(b.w.(*os.File).Fd()))
	switch {
	case err != nil || width < 1 || barWidth+1+len(percent)+len(line) < width:
		return bar + percent + line
	case len(percent)+len(line) < width:
		return percent + line
	}
	return (percent + line)[:width-1]
}

// Line prints a line of its own, above the bar.
func (b *Bar) Line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !b.terminal || b.shown == "" {
		fmt.Fprintln(b.w, text)
		return
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s\n%s", text, b.shown)
}

// End leaves the bar that was rewritten in place.
func (b *Bar) End() {
	if b.shown != "" {
		fmt.Fprintln(b.w)
		b.shown = ""
	}
}
