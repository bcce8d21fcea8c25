package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// The tests of the page itself need a browser: Debian's chromium, headless. They run where SPRAT_BROWSER=1 asks for them.
// SPRAT_SHOTS=DIR has them leave pictures there.

// policy is the strictest that the page lives with: nothing from another host, nothing inline, and strings become nodes through
// DOMPurify or not at all. The server's must allow as much.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; font-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"

// answer is what the server of a test says to a question.
type answer struct {
	thought, text string
	piece         int           // bytes in a chunk; 0: all at once
	pause         time.Duration // between chunks
	rate          int           // chunks a second, by the clock, in place of pause
	sent          *atomic.Int32 // counts the chunks, if set
	finish        string        // "stop" if empty
	status        int           // of a refusal
	message       string        // its words
	cut           bool          // the connection ends before the answer does
	hang          bool          // after the text nothing comes any more, until the page gives up
}

// backend is a server with the routes the page uses, and a script in place of a model.
type backend struct {
	*httptest.Server
	models string                // of GET /v1/models
	say    func(question) answer // what to answer

	mu       sync.Mutex
	asked    []question
	stopped  int // answers that the page gave up
	sessions []string
}

type question struct {
	Model    string `json:"model"`
	Thinking *struct {
		Type string `json:"type"`
	} `json:"thinking"`
	Messages []struct{ Role, Content string } `json:"messages"`
}

func (q question) last() string { return q.Messages[len(q.Messages)-1].Content }

const chatModels = `{"object":"list","data":[
	{"id":"small","object":"model","created":1,"owned_by":"sprat","sprat":{"default":true,"chat":true,"thinks":true,"toggles":true,"context":4096,
	 "note":"It solves small problems of arithmetic and says how; it knows hardly any facts.",
	 "suggestions":["What is 17 × 23?","Is 91 a prime number?","I have 40 apples and give away a quarter. How many are left?","Sort these: 9, 4, 27, 1"]}},
	{"id":"nano","object":"model","created":1,"owned_by":"sprat","sprat":{"chat":false,"thinks":false,"context":512,
	 "note":"It continues stories and does nothing else: it knows no facts and answers no questions.",
	 "suggestions":["Once upon a time, a fox","The sea was calm that night, and"]}}]}`

func newBackend(t *testing.T, say func(question) answer) *backend {
	b := &backend{models: chatModels, say: say}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, b.models) })
	mux.HandleFunc("POST /v1/chat/completions", b.complete)
	mux.HandleFunc("POST /session", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Key string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		b.mu.Lock()
		b.sessions = append(b.sessions, body.Key)
		b.mu.Unlock()
		fmt.Fprint(w, `{"token":"t"}`)
	})
	mux.HandleFunc("GET /", servePage)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

func servePage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	types := map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
		".woff2": "font/woff2"}
	content, err := fs.ReadFile(Files(), name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", types[path.Ext(name)])
	_, _ = w.Write(content)
}

func (b *backend) complete(w http.ResponseWriter, r *http.Request) {
	var q question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	b.asked = append(b.asked, q)
	b.mu.Unlock()
	a := b.say(q)
	if a.status != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(a.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": a.message, "type": "x", "param": nil, "code": nil}})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if !a.stream(w, r) {
		b.mu.Lock()
		b.stopped++
		b.mu.Unlock()
	}
}

// stream sends an answer in the form that DeepSeek sends, and tells whether the page heard it to its end.
func (a answer) stream(w http.ResponseWriter, r *http.Request) bool {
	send := func(v any) {
		line, _ := json.Marshal(v)
		fmt.Fprintf(w, "data: %s\n\n", line)
		w.(http.Flusher).Flush()
	}
	delta := func(content, thought any, finish any) map[string]any {
		return map[string]any{"choices": []any{map[string]any{"index": 0, "finish_reason": finish,
			"delta": map[string]any{"content": content, "reasoning_content": thought}}}, "usage": nil}
	}
	started, n := time.Now(), 0
	say := func(text string, thought bool) bool {
		for next := range pieces(text, a.piece) {
			if thought {
				send(delta(nil, next, nil))
			} else {
				send(delta(next, nil, nil))
			}
			if n++; a.sent != nil {
				a.sent.Store(int32(n))
			}
			pause := a.pause
			if a.rate > 0 {
				pause = time.Until(started.Add(time.Duration(n) * time.Second / time.Duration(a.rate)))
			}
			select {
			case <-r.Context().Done():
				return false
			case <-time.After(pause):
			}
		}
		return true
	}
	fmt.Fprint(w, ": keep-alive\n\n")
	send(delta(nil, "", nil))
	if !say(a.thought, true) || !say(a.text, false) {
		return false
	}
	if a.hang {
		<-r.Context().Done()
		return false
	}
	if a.cut {
		return true
	}
	finish := a.finish
	if finish == "" {
		finish = "stop"
	}
	send(delta("", nil, finish))
	tokens := (len(a.thought) + len(a.text)) / 4
	send(map[string]any{"choices": []any{}, "usage": map[string]any{"prompt_tokens": 96, "completion_tokens": tokens, "total_tokens": 96 + tokens,
		"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 32}})
	fmt.Fprint(w, "data: [DONE]\n\n")
	return true
}

// pieces cuts s into parts of about n bytes, never inside a character.
func pieces(s string, n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i := range s {
			if n > 0 && i-start >= n {
				if !yield(s[start:i]) {
					return
				}
				start = i
			}
		}
		if start < len(s) {
			yield(s[start:])
		}
	}
}

// browser is started once, by the first test that needs it.
var browser = sync.OnceValues(func() (context.Context, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(found), chromedp.NoSandbox, chromedp.DisableGPU,
				chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
				chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "en-US"))
			ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
			ctx, stopBrowser = chromedp.NewContext(ctx)
			return ctx, chromedp.Do(ctx)
		}
	}
	return nil, exec.ErrNotFound
})

var stopBrowser = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopBrowser()
	os.Exit(code)
}

// size is a window.
type size struct {
	name          string
	width, height int64
	phone         bool
}

var (
	phone   = size{"phone", 390, 844, true}
	desktop = size{"desktop", 1280, 800, false}
)

// eachSize runs a test in a phone's window and a desktop's.
func eachSize(t *testing.T, f func(*testing.T, size)) {
	for _, s := range []size{phone, desktop} {
		t.Run(s.name, func(t *testing.T) { f(t, s) })
	}
}

// tab is the page, open in a browser.
type tab struct {
	t   *testing.T
	ctx context.Context
	b   *backend

	mu     sync.Mutex
	faults []string // exceptions and requests to other hosts
}

// open opens the backend's page. At the test's end it may have broken no rule of its policy, thrown nothing, and asked no other host.
func open(t *testing.T, b *backend, s size, fragment string) *tab {
	if os.Getenv("SPRAT_BROWSER") == "" {
		t.Skip("set SPRAT_BROWSER=1 to run the page in a browser")
	}
	parent, err := browser()
	if err != nil {
		t.Skipf("no browser: %v", err)
	}
	ctx, cancel := chromedp.NewContext(parent)
	t.Cleanup(cancel)
	ctx, cancelTime := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancelTime)
	p := &tab{t: t, ctx: ctx, b: b}
	p.run()
	if err := chromedp.Listen(ctx, p.watch); err != nil {
		t.Fatal(err)
	}
	if s.phone {
		p.run(chromedp.EmulateViewport(s.width, s.height, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
	} else {
		p.run(chromedp.EmulateViewport(s.width, s.height))
	}
	p.run(do(network.Enable, network.EnableParams{}),
		do(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `window.violations = []
			addEventListener('securitypolicyviolation', (e) => violations.push([e.violatedDirective, e.blockedURI, e.sample].join(' ')), true)`}),
		chromedp.Navigate(b.URL+"/"+fragment))
	p.until(`document.querySelector('textarea') && document.querySelector('.suggestions, .note')`)
	t.Cleanup(p.check)
	return p
}

// watch notes what must not happen.
func (p *tab) watch(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.faults = append(p.faults, e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || !strings.HasPrefix(e.Request.URL, p.b.URL) && u.Scheme != "about" {
			p.faults = append(p.faults, "request to "+e.Request.URL)
		}
	}
}

func (p *tab) check() {
	p.t.Helper()
	var violations []string
	p.eval(`violations`, &violations)
	for _, v := range violations {
		p.t.Errorf("policy violated: %s", v)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		p.t.Error(f)
	}
}

// do is a command of the browser's protocol as a step.
func do[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cmd, params)
		return err
	})
}

func (p *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval computes JavaScript in the page and takes its value over into out; a promise is waited for.
func (p *tab) eval(js string, out any) {
	p.t.Helper()
	var err error
	if out == nil {
		err = chromedp.Do(p.ctx, chromedp.Evaluate[chromedp.Void](js, chromedp.EvalAwaitPromise))
	} else {
		var value []byte
		if value, err = chromedp.Run(p.ctx, chromedp.Evaluate[[]byte](js, chromedp.EvalAwaitPromise)); err == nil {
			err = json.Unmarshal(value, out)
		}
	}
	if err != nil {
		p.t.Fatalf("%s: %v", js, err)
	}
}

func (p *tab) text(js string) string {
	p.t.Helper()
	var s string
	p.eval(js, &s)
	return s
}

// until waits for a condition of the page.
func (p *tab) until(js string) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var ok bool
		p.eval("!!("+js+")", &ok)
		if ok {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("never came true: %s\npage: %s", js, p.text(`document.body.innerText.slice(0, 2000)`))
		}
	}
}

func (p *tab) expect(js string) {
	p.t.Helper()
	var ok bool
	if p.eval("!!("+js+")", &ok); !ok {
		p.t.Errorf("not true: %s", js)
	}
}

func (p *tab) press(key string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(key))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.run(chromedp.Click(chromedp.CSS(selector)))
}

// enter presses Enter as a keyboard does: a page that takes the key for itself gets no character.
func (p *tab) enter(modifiers chromedp.Modifier) {
	p.t.Helper()
	key := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r",
		WindowsVirtualKeyCode: 13, Modifiers: int64(modifiers)}
	up := key
	up.Type, up.Text = input.DispatchKeyEventTypeKeyUp, ""
	p.run(do(input.DispatchKeyEvent, key), do(input.DispatchKeyEvent, up))
}

const field = chromedp.CSS("textarea")

// ask types a question and sends it.
func (p *tab) ask(s string) {
	p.t.Helper()
	p.run(chromedp.SendKeys(field, s))
	p.enter(0)
}

// done waits for an answer's end, formulas and colours included.
func (p *tab) done() {
	p.t.Helper()
	p.until(`document.querySelector('.answer') && !document.querySelector('.answer[aria-busy=true]') && !document.querySelector('.live')`)
	p.until(`!document.querySelector('.math[data-tex]:not(.set, .unreadable)')`)
}

func (p *tab) colours(scheme string) {
	p.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	p.run(do(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}))
}

// shot leaves a picture where SPRAT_SHOTS says.
func (p *tab) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("SPRAT_SHOTS")
	if dir == "" {
		return
	}
	time.Sleep(350 * time.Millisecond) // transitions
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
