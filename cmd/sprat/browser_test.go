package main

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a page of a headless chromium in which the name evil.example leads to this machine.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // of the browser: exceptions, what the policy forbids, what could not be loaded
}

func openTab(t *testing.T) *tab {
	t.Helper()
	if os.Getenv("SPRAT_BROWSER") == "" {
		t.Skip("set SPRAT_BROWSER=1 to use a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("host-resolver-rules", "MAP evil.example 127.0.0.1"))...)
	t.Cleanup(cancel)
	p := &tab{t: t}
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(p.watch))
	t.Cleanup(cancel)
	p.ctx, cancel = context.WithTimeout(ctx, 40*time.Second)
	t.Cleanup(cancel)
	return p
}

func (p *tab) watch(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		p.complaints = append(p.complaints, e.Entry.Text+" "+e.Entry.URL)
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, e.ExceptionDetails.Text)
	}
}

// visit goes to an address.
func (p *tab) visit(address string) {
	p.t.Helper()
	enable := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		return err
	})
	if err := chromedp.Do(p.ctx, enable, chromedp.Navigate(address)); err != nil {
		p.t.Fatal(err)
	}
}

// text is what JavaScript, or its promise, comes to.
func (p *tab) text(js string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](js, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
	return s
}

// TestChat: the program, its page and its model as a person meets them, from the link to the end of an answer, and not one complaint
// of the browser's.
func TestChat(t *testing.T) {
	p := openTab(t)
	link, stop := start(t)
	defer stop()
	p.visit(link)
	if err := chromedp.Do(p.ctx, chromedp.WaitVisible("textarea"), chromedp.SendKeys("textarea", "What is 348 times 27?\r")); err != nil {
		t.Fatal(err)
	}
	const answer = `document.querySelector(".answer > .prose")?.innerText ?? ""` // the thought is not in it
	digits := regexp.MustCompile(`\d{3}`)
	for end := time.Now().Add(20 * time.Second); !digits.MatchString(p.text(answer)); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the page shows %q", p.text(`document.body.innerText`))
		}
	}
	if key := p.text("location.hash"); key != "" {
		t.Errorf("the key stays in the address: %s", key)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		t.Errorf("the browser complains: %s", c)
	}
}

// TestRebindingInBrowser: a page whose name was made to lead to this machine gets nothing, whatever its script tries.
func TestRebindingInBrowser(t *testing.T) {
	p := openTab(t)
	link, stop := start(t)
	defer stop()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.Fragment = "evil.example:"+u.Port(), ""
	p.visit(u.String())
	if text := p.text("document.body.innerText"); !strings.Contains(text, "is not this machine") {
		t.Errorf("the page is %q", text)
	}
	const body = `{method: "POST", headers: {"Content-Type": "application/json"}, body: '{"messages": [{"role": "user", "content": "Hi"}]}'}`
	for _, request := range []string{`"/v1/models"`, `"/"`, `"/v1/chat/completions", ` + body} {
		if got := p.text(`fetch(` + request + `).then(r => "status " + r.status, e => "blocked")`); got != "status 403" && got != "blocked" {
			t.Errorf("fetch(%s): %s", request, got)
		}
	}
}
