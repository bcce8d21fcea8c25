package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pageOf makes the page of a record and returns it.
func pageOf(t *testing.T, text string) string {
	t.Helper()
	return madeIn(t, read(t, text).Dir)
}

func madeIn(t *testing.T, dir string) string {
	t.Helper()
	if _, err := WritePage(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, PageFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkPage(string(page)); err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// What a tag may not have: a script in any form, and an address that a browser would fetch.
var (
	tags     = regexp.MustCompile(`<[a-zA-Z!/][^>]*>`)
	names    = regexp.MustCompile(`^<[!/]?([a-zA-Z0-9]+)`)
	handlers = regexp.MustCompile(`(?i)\son[a-z]+\s*=`)
	links    = regexp.MustCompile(`(?i)\b(src|href|srcset|action|data|poster)\s*=\s*"?([^" >]*)`)
	styles   = regexp.MustCompile(`(?i)url\(|@import|javascript:`)
	numbers  = regexp.MustCompile(`NaN|Inf`)
)

// checkPage is what holds of every page.
func checkPage(page string) error {
	known := " doctype html head meta link title style body h1 h2 h3 p b i ul li div span section table thead tbody tr th td details summary pre footer" +
		" svg g path rect text image "
	open := map[string]int{}
	for _, tag := range tags.FindAllString(page, -1) {
		name := names.FindStringSubmatch(tag)[1]
		if !strings.Contains(known, " "+name+" ") {
			return fmt.Errorf("the page has %s", tag)
		}
		if handlers.MatchString(tag) || styles.MatchString(tag) {
			return fmt.Errorf("a handler or an address in %s", tag)
		}
		for _, link := range links.FindAllStringSubmatch(tag, -1) {
			if !strings.HasPrefix(link[2], "data:") {
				return fmt.Errorf("a link in %s", tag)
			}
		}
		switch {
		case strings.HasPrefix(tag, "</"):
			open[name]--
		case !strings.HasSuffix(tag, "/>"):
			open[name]++
		}
		if strings.Contains(" g path rect text image svg ", " "+name+" ") && numbers.MatchString(tag) {
			return fmt.Errorf("no number in %s", tag)
		}
	}
	for _, name := range strings.Fields("svg g text section table ul li pre h1 title style") {
		if open[name] != 0 {
			return fmt.Errorf("%d more <%s> than ends of it", open[name], name)
		}
	}
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	if m := styles.FindString(style); m != "" || len(style) < 1000 {
		return fmt.Errorf("%q in a style of %d bytes", m, len(style))
	}
	if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"`) {
		return fmt.Errorf("the page forbids nothing")
	}
	return nil
}

func checkPageOf(r *Run) error {
	p, err := r.page()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := p.write(&b); err != nil {
		return err
	}
	return checkPage(b.String())
}

func TestCheckPageHasTeeth(t *testing.T) {
	good := pageOf(t, start+steps(1, 3, 0, 1))
	for _, bad := range []string{
		`<script>1</script>`, `<b onclick="x">`, `<i src="http://x/">`, `<link href=//x/y>`, `<p style="background:url(x)">`, `<path d="MNaN,3"/>`, `<svg>`, `<img src="data:,">`,
	} {
		if checkPage(strings.Replace(good, "<footer>", bad+"<footer>", 1)) == nil {
			t.Errorf("%s goes through", bad)
		}
	}
}

// titles are the page's headings, in order.
func titles(page string) string {
	var list []string
	for _, m := range regexp.MustCompile(`<h2>([^<]*)</h2>`).FindAllStringSubmatch(page, -1) {
		list = append(list, strings.Fields(m[1])[0])
	}
	return strings.Join(list, " ")
}

// TestPageOfAnyRun has pages with the charts for which there is something to draw, and no others.
func TestPageOfAnyRun(t *testing.T) {
	step := func(n int, fields string) string {
		return fmt.Sprintf(`{"kind":"step","step":%d,"tokens":%d,"seconds":%d,%s}`+"\n", n, 10*n, n, fields)
	}
	full := `"loss":3,"mtp":[4],"lr":0.001,"grad_norm":2,"max_vio":0.5,"tokens_per_second":10`
	valid := `{"kind":"valid","step":1,"tokens":10,"seconds":1,"source":"s","nats":3,"bits_per_byte":1.25}` + "\n"
	load := `{"kind":"load","step":1,"layers":[[1,1],[2,0]]}` + "\n"
	everything := "Loss, Bits Largest Gradient Learning Tokens Load Ledger Held-out"
	for _, c := range []struct{ name, text, titles, has string }{
		{"nothing", "", "Ledger", "still running, or killed"},
		{"a start", start, "Ledger", "24 November 2026 12:00 UTC"},
		{"one step", start + step(1, full) + valid + load, everything, "1.250"},
		{"two steps", start + step(1, full) + valid + load + step(2, full), everything, "1 further (MTP)"},
		{"no validation", start + step(1, full) + step(2, full) + load, "Loss, Largest Gradient Learning Tokens Load Ledger", "3.000"},
		{"no experts", start + step(1, strings.Replace(full, "0.5", "0", 1)) + valid, "Loss, Bits Gradient Learning Tokens Ledger Held-out", "3.000"},
		{"no number", start + step(1, `"loss":null,"grad_norm":null,"lr":null,"mtp":[null]`), "Ledger", "–"},
		{"a hole", start + step(1, full) + step(2, `"loss":null,"mtp":[],"grad_norm":null,"skipped":true`) + step(3, full), "Loss, Largest Gradient Learning Tokens Ledger",
			"3.000"},
		{"out of all bounds", start + step(1, `"loss":1e300,"grad_norm":-1e29,"lr":1e-300`) + step(2, `"loss":-1e29,"grad_norm":1e-320,"max_vio":1e29`),
			"Loss, Largest Gradient Learning Ledger", "10000.0 %"},
		{"gone back", start + step(1, full) + step(2, full) + `{"kind":"rollback","step":2,"to_step":1,"why":"a spike"}` + "\n" + step(2, full),
			"Loss, Largest Gradient Learning Tokens Ledger Where", "a spike"},
		{"gone back to nothing", start + step(1, full) + `{"kind":"resume","step":0,"tokens":0,"seconds":0}` + "\n", "Ledger Where", "resumed"},
	} {
		page := pageOf(t, c.text)
		if got := titles(page); got != c.titles {
			t.Errorf("%s: the page has %s, want %s", c.name, got, c.titles)
		}
		if !strings.Contains(page, c.has) {
			t.Errorf("%s: the page says nothing of %q", c.name, c.has)
		}
	}
}

// TestHostileNames has markup in every text that a record brings.
func TestHostileNames(t *testing.T) {
	const bad = `</title></pre><script>alert(1)</script><img src=http://x onerror=alert(1)>\" style=\"background:url(http://x)\u001b[2J`
	text := strings.ReplaceAll(`{"kind":"run","name":"@","machine":"@","precision":"@","kernels":"@"}
{"kind":"step","step":1,"tokens":10,"seconds":1,"loss":3}
{"kind":"valid","step":1,"tokens":10,"seconds":1,"source":"@","nats":3,"bits_per_byte":1}
{"kind":"rollback","step":1,"to_step":1,"tokens":10,"seconds":1,"why":"@"}
{"kind":"end","step":1,"tokens":10,"seconds":1,"why":"@"}
`, "@", bad)
	r := read(t, text)
	if err := os.WriteFile(filepath.Join(r.Dir, SettingsFile), []byte(strings.ReplaceAll(bad, `\"`, `"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	page := madeIn(t, r.Dir)
	if n := strings.Count(page, "&lt;script&gt;"); n != 10 || strings.Contains(page, "\x1b") {
		t.Errorf("the names appear %d times, or with their escape codes", n)
	}
}

// TestPageOfLongRun reads a hundred thousand steps with everything in them. The page stays small, and quick to make.
func TestPageOfLongRun(t *testing.T) {
	var b strings.Builder
	b.WriteString(start)
	for i := 1; i <= 100_000; i++ {
		fmt.Fprintf(&b, `{"kind":"step","step":%d,"tokens":%d,"seconds":%d,"loss":%d.5,"mtp":[%d],"grad_norm":1.%d,"max_vio":0.%d,"lr":0.001,"tokens_per_second":10}`+"\n",
			i, 10*i, i, i%7, i%5, i%1000, i%100)
		if i%20 == 0 {
			fmt.Fprintf(&b, `{"kind":"load","step":%d,"layers":[[1,1],[0,2]]}`+"\n", i)
		}
		if i%100 == 0 {
			for source := range 4 {
				fmt.Fprintf(&b, `{"kind":"valid","step":%d,"tokens":%d,"seconds":%d,"source":"%d","bits_per_byte":1.%d}`+"\n", i, 10*i, i, source, i%321)
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, MetricsFile), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	page := madeIn(t, dir)
	if took := time.Since(began); took > time.Minute || len(page) > 1<<20 {
		t.Errorf("a page of %d bytes in %v", len(page), took)
	}
}

// TestLedgerOfWrittenRun follows a run that is killed, resumed and rolled back, from the trainer's calls to the ledger's file.
// Steps are of 10 tokens and 5 seconds; an evaluation takes 2.
func TestLedgerOfWrittenRun(t *testing.T) {
	s := Start{Cores: 4, FLOPsPerToken: 7, PeakFLOPs: 28, DollarsPerCoreHour: 9}
	do := func(w *Writer, from, to int, tokens int64, seconds float64, skipped bool) error {
		for i := from; i <= to; i++ {
			tokens, seconds = tokens+10, seconds+5
			if err := w.Step(Step{Step: i, Tokens: tokens, Seconds: seconds, Loss: 1, Skipped: skipped}); err != nil {
				return err
			}
		}
		return nil
	}
	dir, _ := written(t, func(w *Writer) error {
		for _, err := range []error{
			w.Start(s), do(w, 1, 2, 0, 0, false), w.Valid(Valid{Step: 2, Tokens: 20, Seconds: 12}), do(w, 3, 5, 20, 12, false), // 27 s, killed
			w.Start(s), w.Resume(Resume{Step: 2, Tokens: 20, Seconds: 12}), do(w, 3, 4, 20, 12, false), // lost 3 steps of the first
			do(w, 5, 6, 40, 22, true), w.Rollback(Rollback{Step: 6, ToStep: 4, Tokens: 40, Seconds: 32}), // tokens go back, the clock runs on
			do(w, 5, 6, 40, 32, false), w.End(End{Step: 6, Tokens: 60, Seconds: 44, Why: Done}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	madeIn(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, LedgerFile))
	if err != nil {
		t.Fatal(err)
	}
	var got Ledger
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	const tokens, seconds = 50 + 20 + 20 + 20, 27 + 10 + 10 + 12
	want := Ledger{
		Tokens: tokens, FLOPs: 7 * tokens, Seconds: seconds, CoreHours: 4 * seconds / 3600., DollarsPerCoreHour: 9, Dollars: 4 * seconds * 9 / 3600.,
		PeakShare: 7. * tokens / (28 * seconds), LostTokens: 30 + 20, LostSeconds: 15 + 10, Sessions: 2, Returns: 2, SkippedSteps: 2,
	}
	if !near(got.CoreHours, want.CoreHours) || !near(got.Dollars, want.Dollars) { // sums of two sessions' parts
		t.Errorf("core hours and dollars: %v, %v, want %v, %v", got.CoreHours, got.Dollars, want.CoreHours, want.Dollars)
	}
	got.CoreHours, got.Dollars = want.CoreHours, want.Dollars
	if got != want {
		t.Errorf("the ledger is\n%+v, want\n%+v", got, want)
	}
}

// near tells whether a and b are equal but for rounding.
func near(a, b float64) bool { return a-b < 1e-12*b && b-a < 1e-12*b }
