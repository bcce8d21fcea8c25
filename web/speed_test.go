package web

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
)

// metrics are sums of seconds that the page's main thread has spent.
type metrics struct{ script, layout, style, task float64 }

func (p *tab) metrics() metrics {
	p.t.Helper()
	result, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (performance.GetMetricsResult, error) {
		return cdp.Call(ctx, t, performance.GetMetrics, cdp.Empty{})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range result.Metrics {
		values[m.Name] = m.Value
	}
	return metrics{values["ScriptDuration"], values["LayoutDuration"], values["RecalcStyleDuration"], values["TaskDuration"]}
}

func (m metrics) minus(o metrics) metrics {
	return metrics{m.script - o.script, m.layout - o.layout, m.style - o.style, m.task - o.task}
}

// A long answer costs as much at its end as at its beginning, and the page stays responsive: 10,000 tokens at 200 a second. What that
// takes is said, and with SPRAT_TIMED, on a machine that has nothing else to do, must stay in bounds.
func TestLongAnswerStaysFast(t *testing.T) {
	const tokens, perSecond = 10_000, 200
	fail := t.Logf
	if os.Getenv("SPRAT_TIMED") != "" {
		fail = t.Errorf
	}
	text := strings.Repeat(document(t)+"\n", 4*tokens/len(document(t))+1)[:4*tokens]
	total := int32(0)
	for range pieces(text, 4) {
		total++
	}
	var sent atomic.Int32
	b := newBackend(t, func(question) answer { return answer{text: text, piece: 4, rate: perSecond, sent: &sent} })
	p := open(t, b, desktop, "")
	p.run(do(performance.Enable, performance.EnableParams{}))
	p.eval(`void (() => {
		window.long = []
		new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration))).observe({ entryTypes: ['longtask'] })
		window.frames_ = 0
		const count = () => { frames_++; requestAnimationFrame(count) }
		count()
	})()`, nil)
	p.askFast("Tell me all")
	at := func(n int32) metrics {
		for sent.Load() < n {
			if p.ctx.Err() != nil {
				t.Fatal(p.ctx.Err())
			}
			time.Sleep(5 * time.Millisecond)
		}
		return p.metrics()
	}
	// The first tokens bring KaTeX and highlight.js with them, whose start is no part of what is compared.
	before, first := at(300), at(1300)
	late, last := at(total-1010), at(total-10)
	p.done()
	head, tail := first.minus(before), last.minus(late)
	var long []float64
	var frames int
	p.eval("long", &long)
	p.eval("frames_", &frames)
	t.Logf("seconds of a thousand tokens: first %+.3f, last %+.3f", head, tail)
	t.Logf("tasks over 50 ms: %.0f among %d frames", long, frames)
	if ratio := tail.script / head.script; ratio > 1.5 {
		fail("scripts take %.2f times as long at the end", ratio)
	} else {
		t.Logf("script time at the end / at the beginning: %.2f", ratio)
	}
	// A frame is one task here, or several: where fewer than one frame in a hundred has a long one, so do fewer than that of the tasks.
	if len(long)*100 > frames {
		fail("%d tasks of over 50 ms in %d frames", len(long), frames)
	}
	p.expect(fmt.Sprintf(`document.querySelector('.answer > .prose').textContent.length > %d`, tokens))
}
