package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sprat/api"
)

const port = 8080

// counted counts the requests that come through to it.
type counted struct{ asked int }

func (*counted) Models() []api.Model { return []api.Model{{ID: "small"}} }

func (c *counted) Complete(context.Context, *api.Request) iter.Seq2[api.Piece, error] {
	return func(yield func(api.Piece, error) bool) {
		c.asked++
		yield(api.Piece{Text: "Yes.", Finish: "stop"}, nil)
	}
}

var files = fstest.MapFS{
	"index.html":             {Data: []byte("<!doctype html>page")},
	"index.html.br":          {Data: []byte("brotli")},
	"index.html.gz":          {Data: []byte("gzip")},
	"assets/index-Ab12.js":   {Data: []byte("script")},
	"assets/font-Cd34.woff2": {Data: []byte("font")},
}

func newApp(t *testing.T) (h http.Handler, key string, c *counted) {
	t.Helper()
	c = &counted{}
	h, key, err := New(Options{Completer: c, Page: files, Port: port, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return h, key, c
}

const question = `{"messages": [{"role": "user", "content": "Hi"}]}`

// do sends a request as our own page would, but for what change does to it.
func do(h http.Handler, method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = fmt.Sprintf("127.0.0.1:%d", port)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// routes are all there are, and one that there isn't.
var routes = []struct{ method, path, body string }{
	{"GET", "/", ""}, {"GET", "/assets/index-Ab12.js", ""}, {"GET", "/v1/models", ""}, {"POST", "/v1/chat/completions", question},
	{"POST", "/session", `{"key": "KEY"}`}, {"GET", "/session", ""}, {"GET", "/nowhere", ""},
}

// refused expects that a change makes every route refuse, and that nothing was done.
func refused(t *testing.T, what string, status int, change func(*http.Request)) {
	t.Helper()
	h, key, c := newApp(t)
	for _, r := range routes {
		w := do(h, r.method, r.path, strings.Replace(r.body, "KEY", key, 1), change)
		var e struct {
			Error struct{ Message, Type string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); w.Code != status || err != nil || e.Error.Message == "" {
			t.Errorf("%s: %s %s: status %d, %s; want %d", what, r.method, r.path, w.Code, w.Body, status)
		}
	}
	if c.asked > 0 {
		t.Errorf("%s: the model was asked", what)
	}
	if w := do(h, "POST", "/session", fmt.Sprintf(`{"key": %q}`, key), nil); w.Code != 200 {
		t.Errorf("%s: the key was spent", what)
	}
}

// TestDNSRebinding: a name that someone else made point here is not ours, nor is another port.
func TestDNSRebinding(t *testing.T) {
	for _, host := range []string{
		"evil.example", "evil.example:8080", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8081", "localhost", "localhost:", "", "localhost.evil.example:8080",
		"0.0.0.0:8080", "[::]:8080", "127.0.0.2:8080", "127.0.0.1:8080.evil.example", "127.0.0.1:8080@evil.example", "2130706433:8080", "::1:8080", "localhost.:8080",
	} {
		refused(t, "host "+host, http.StatusForbidden, func(r *http.Request) { r.Host = host })
	}
	h, _, _ := newApp(t)
	for _, host := range []string{"127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"} {
		if w := do(h, "GET", "/", "", func(r *http.Request) { r.Host = host }); w.Code != 200 {
			t.Errorf("host %s: status %d", host, w.Code)
		}
	}
	g := newGuard(80, http.NotFoundHandler())
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.0.0.1:80": true, "evil.example": false} {
		if err := g.check(&http.Request{Method: "GET", Host: host}); (err == nil) != want {
			t.Errorf("host %s on port 80: %v", host, err)
		}
	}
}

// TestOtherOrigins: pages of elsewhere, of other ports too, get nowhere, by whatever browsers say of them.
func TestOtherOrigins(t *testing.T) {
	for _, origin := range []string{
		"http://evil.example", "null", "", "http://localhost:3000", "https://localhost:8080", "http://localhost", "http://localhost:8080.evil.example",
		"http://127.0.0.1:8080/", "file://",
	} {
		refused(t, "origin "+origin, http.StatusForbidden, header("Origin", origin))
	}
	refused(t, "two origins", http.StatusForbidden, func(r *http.Request) { r.Header["Origin"] = []string{"http://127.0.0.1:8080", "http://evil.example"} })
	for _, site := range []string{"cross-site", "same-site"} {
		refused(t, site, http.StatusForbidden, header("Sec-Fetch-Site", site))
		refused(t, site+" in a frame", http.StatusForbidden, func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			r.Header.Set("Sec-Fetch-Dest", "iframe")
		})
	}
	h, _, c := newApp(t)
	for _, origin := range []string{"http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"} {
		if w := do(h, "POST", "/v1/chat/completions", question, header("Origin", origin)); w.Code != 200 {
			t.Errorf("our own origin %s: status %d: %s", origin, w.Code, w.Body)
		}
	}
	if c.asked != 3 {
		t.Errorf("the model was asked %d times", c.asked)
	}
	link := func(r *http.Request) { // someone follows a link to us
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
	}
	if w := do(h, "GET", "/", "", link); w.Code != 200 {
		t.Errorf("a link from elsewhere: status %d", w.Code)
	}
}

// TestForms: what a page can make a browser send without asking us first is no JSON.
func TestForms(t *testing.T) {
	h, key, c := newApp(t)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", "text/plain; application/json", "application/json, text/plain"} {
		for _, r := range routes {
			if r.method != "POST" {
				continue
			}
			if w := do(h, r.method, r.path, strings.Replace(r.body, "KEY", key, 1), header("Content-Type", kind)); w.Code != http.StatusUnsupportedMediaType {
				t.Errorf("%s as %q: status %d", r.path, kind, w.Code)
			}
		}
	}
	if c.asked > 0 {
		t.Error("the model was asked")
	}
	if w := do(h, "POST", "/v1/chat/completions", question, header("Content-Type", "application/json; charset=utf-8")); w.Code != 200 {
		t.Errorf("with a charset: status %d", w.Code)
	}
}

func TestProxies(t *testing.T) {
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Whatever", "x-forwarded-for"} {
		refused(t, name, http.StatusForbidden, header(name, "127.0.0.1"))
	}
}

func TestMethods(t *testing.T) {
	h, _, c := newApp(t)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		for _, r := range routes {
			if w := do(h, method, r.path, r.body, nil); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: status %d", method, r.path, w.Code)
			}
		}
	}
	for _, r := range routes { // GET changes nothing
		do(h, "GET", r.path, r.body, header("Content-Type", "application/json"))
		do(h, "HEAD", r.path, r.body, nil)
	}
	if c.asked > 0 {
		t.Error("the model was asked")
	}
	if w := do(h, "POST", "/", "{}", nil); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /: status %d", w.Code)
	}
}

// TestHeaders: every answer, a refusal too, forbids what the page doesn't need.
func TestHeaders(t *testing.T) {
	h, _, _ := newApp(t)
	for _, r := range routes {
		for _, host := range []string{"127.0.0.1:8080", "evil.example"} {
			header := do(h, r.method, r.path, r.body, func(r *http.Request) { r.Host = host }).Header()
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; script-src 'self';", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if !strings.HasPrefix(header.Get(name), want) {
					t.Errorf("%s %s: %s is %q", r.method, r.path, name, header.Get(name))
				}
			}
		}
	}
	for _, word := range []string{"unsafe", "*", "http:", "https:", "blob:"} {
		if strings.Contains(policy, word) {
			t.Errorf("the policy has %s", word)
		}
	}
	for _, rule := range []string{"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "connect-src 'self'"} {
		if !strings.Contains(policy, rule) {
			t.Errorf("the policy lacks %s", rule)
		}
	}
}

// TestSession: the key is worth one token, of this start alone.
func TestSession(t *testing.T) {
	h, key, _ := newApp(t)
	_, other, _ := newApp(t)
	exchange := func(key string) (token string, status int) {
		w := do(h, "POST", "/session", fmt.Sprintf(`{"key": %q}`, key), nil)
		var answer struct{ Token string }
		json.Unmarshal(w.Body.Bytes(), &answer)
		return answer.Token, w.Code
	}
	confirm := func(authorization string) int {
		return do(h, "GET", "/session", "", header("Authorization", authorization)).Code
	}
	for _, wrong := range []string{"", other, key[1:], key + "a", strings.ToLower(key)} {
		if token, status := exchange(wrong); status != 401 || token != "" {
			t.Errorf("key %q: status %d", wrong, status)
		}
	}
	for _, body := range []string{"", "[]", `"` + key + `"`, `{"key": "` + strings.Repeat("a", 2000) + `"}`} {
		if w := do(h, "POST", "/session", body, nil); w.Code != 400 {
			t.Errorf("body %.20q: status %d", body, w.Code)
		}
	}
	if status := confirm("Bearer "); status != 401 {
		t.Errorf("an empty token before the exchange: status %d", status)
	}
	token, status := exchange(key)
	if status != 200 || len(token) != 43 || len(key) != 43 || token == key {
		t.Fatalf("status %d, token %q", status, token)
	}
	if again, status := exchange(key); status != 401 || again != "" {
		t.Errorf("the key once more: status %d", status)
	}
	for authorization, want := range map[string]int{"Bearer " + token: 204, "": 401, token: 401, "Bearer " + key: 401, "Bearer " + token + "x": 401, "Basic " + token: 401} {
		if got := confirm(authorization); got != want {
			t.Errorf("authorization %q: status %d, want %d", authorization, got, want)
		}
	}
	if w := do(h, "POST", "/v1/chat/completions", question, header("Authorization", "Bearer sk-whatever")); w.Code != 200 {
		t.Errorf("computing wants no key, whatever it is: status %d", w.Code)
	}
}

func TestFiles(t *testing.T) {
	h, _, _ := newApp(t)
	const forever, ask = "public, max-age=31536000, immutable", "no-cache"
	for _, c := range []struct{ path, accept, encoding, body, kind, cache string }{
		{"/", "", "", "<!doctype html>page", "text/html; charset=utf-8", ask},
		{"/index.html", "gzip, deflate, br", "br", "brotli", "text/html; charset=utf-8", ask},
		{"/", "gzip", "gzip", "gzip", "text/html; charset=utf-8", ask},
		{"/", "br;q=0, GZIP;q=0.5", "gzip", "gzip", "text/html; charset=utf-8", ask},
		{"/", "br; q=nonsense, identity", "", "<!doctype html>page", "text/html; charset=utf-8", ask},
		{"/assets/index-Ab12.js", "br", "", "script", "text/javascript; charset=utf-8", forever},
		{"/assets/font-Cd34.woff2", "br", "", "font", "font/woff2", forever},
	} {
		w := do(h, "GET", c.path, "", header("Accept-Encoding", c.accept))
		if h := w.Header(); w.Code != 200 || w.Body.String() != c.body || h.Get("Content-Encoding") != c.encoding || h.Get("Content-Type") != c.kind ||
			h.Get("Cache-Control") != c.cache || h.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s for %q: status %d, %q, %v", c.path, c.accept, w.Code, w.Body, h)
		}
		tag := w.Header().Get("ETag")
		again := do(h, "GET", c.path, "", func(r *http.Request) {
			r.Header.Set("Accept-Encoding", c.accept)
			r.Header.Set("If-None-Match", tag)
		})
		if tag == "" || again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s again: status %d", c.path, again.Code)
		}
	}
	for _, path := range []string{"/index.html.br", "/assets/", "/assets", "/../app.go", "/assets/../index.html", "/.git/config"} {
		if w := do(h, "GET", path, "", nil); w.Code == 200 {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	if _, err := newPage(fstest.MapFS{}); err == nil {
		t.Error("a page without index.html")
	}
	if _, err := newPage(fstest.MapFS{"index.html": files["index.html"], "a.exe": {}}); err == nil {
		t.Error("a file of an unknown kind")
	}
}

// serve runs a server with the limits of NewServer, times divided by a hundred.
func serve(t *testing.T) (addr string, c *counted) {
	t.Helper()
	c = &counted{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := New(Options{Completer: c, Page: files, Port: listener.Addr().(*net.TCPAddr).Port, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(h)
	for _, limit := range []*time.Duration{&server.ReadHeaderTimeout, &server.ReadTimeout, &server.WriteTimeout, &server.IdleTimeout} {
		if *limit <= 0 || *limit > 5*time.Minute {
			t.Errorf("a limit of %v", *limit)
		}
		*limit /= 100
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String(), c
}

// raw sends bytes, and returns what comes back until the server hangs up.
func raw(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, text)
	answer, err := io.ReadAll(c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the server did not hang up on %.60q", text)
	}
	return string(answer)
}

// TestSlowloris: headers, and bodies, that never end.
func TestSlowloris(t *testing.T) {
	addr, c := serve(t)
	raw(t, addr, "")
	raw(t, addr, "GET / HTTP/1.1\r\nHost: "+addr+"\r\nX: ")
	raw(t, addr, "POST /v1/chat/completions HTTP/1.1\r\nHost: "+addr+"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	raw(t, addr, "POST /session HTTP/1.1\r\nHost: "+addr+"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	raw(t, addr, "GET / HTTP/1.1\r\nHost: "+addr+"\r\n\r\n") // and then is idle
	if c.asked > 0 {
		t.Error("the model was asked")
	}
}

// TestSmuggling: requests that two programs may read in two ways are refused, or read in the way that is safe.
func TestSmuggling(t *testing.T) {
	addr, c := serve(t)
	host := "Host: " + addr + "\r\n"
	for name, request := range map[string]string{
		"two hosts":              "GET / HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n",
		"no host":                "GET / HTTP/1.1\r\n\r\n",
		"no host in HTTP/1.0":    "GET / HTTP/1.0\r\n\r\n",
		"another in the target":  "GET http://evil.example/ HTTP/1.1\r\n" + host + "\r\n",
		"space before the colon": "GET / HTTP/1.1\r\n" + host + "X-Forwarded-For : 1.2.3.4\r\n\r\n",
		"a header in two lines":  "GET / HTTP/1.1\r\n" + host + "Via: a\r\n b\r\n\r\n",
		"two lengths":            "POST /v1/chat/completions HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\n{}   ",
		"a signed length":        "POST /v1/chat/completions HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: +2\r\n\r\n{}",
		"an unknown coding":      "POST /v1/chat/completions HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"a long header":          "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"TLS":                    "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
		"HTTP/2":                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		answer := raw(t, addr, request)
		if strings.Contains(answer, " 200 ") || strings.Contains(answer, "page") {
			t.Errorf("%s: %.200q", name, answer)
		}
	}
	// A length beside chunks: the chunks count, and what follows them is no second request.
	inner := "POST /v1/chat/completions HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(question)) + "\r\n\r\n" + question
	raw(t, addr, "POST /session HTTP/1.1\r\n"+host+"Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"+inner)
	if c.asked > 0 {
		t.Error("the model was asked")
	}
}

// TestLargeBodies are refused without being read, be their length told or not.
func TestLargeBodies(t *testing.T) {
	addr, c := serve(t)
	for _, path := range []string{"/v1/chat/completions", "/session"} {
		for _, length := range []int64{50 << 20, -1} {
			body := io.LimitReader(repeat('a'), 50<<20)
			r, _ := http.NewRequest("POST", "http://"+addr+path, io.MultiReader(strings.NewReader(`{"key":"`), body))
			r.ContentLength = length
			r.Header.Set("Content-Type", "application/json")
			if length > 0 {
				r.ContentLength += int64(len(`{"key":"`))
			}
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				continue // the server hung up while we were sending, as it may
			}
			answer.Body.Close()
			if answer.StatusCode != 413 && answer.StatusCode != 400 {
				t.Errorf("%s, length %d: status %d", path, length, answer.StatusCode)
			}
		}
	}
	if c.asked > 0 {
		t.Error("the model was asked")
	}
}

type repeat byte

func (c repeat) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{byte(c)}, len(p)))
	return len(p), nil
}

// TestLongAnswer: an answer may take longer than the limits on a body and on a page: they are 0.15 and 0.3 s here.
func TestLongAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := New(Options{Completer: slow{}, Page: files, Port: listener.Addr().(*net.TCPAddr).Port, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(h)
	server.ReadTimeout, server.WriteTimeout = 150*time.Millisecond, 300*time.Millisecond
	go server.Serve(listener)
	defer server.Close()
	for _, more := range []string{`"stream": true`, `"stream": false`, `"model": "none"`} {
		answer, err := http.Post("http://"+listener.Addr().String()+"/v1/chat/completions", "application/json",
			strings.NewReader(strings.Replace(question, "{", "{"+more+", ", 1)))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(bufio.NewReader(answer.Body))
		if err != nil || !strings.Contains(string(text), "stop") {
			t.Errorf("%s: %v, %q", more, err, text)
		}
	}
}

// slow takes 0.6 s, to fail where it is asked for a model.
type slow struct{}

func (slow) Models() []api.Model { return nil }

func (slow) Complete(ctx context.Context, r *api.Request) iter.Seq2[api.Piece, error] {
	return func(yield func(api.Piece, error) bool) {
		for range 6 {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				yield(api.Piece{}, ctx.Err())
				return
			}
			if r.Model == "" && !yield(api.Piece{Text: "a"}, nil) {
				return
			}
		}
		if r.Model != "" {
			yield(api.Piece{}, api.Errorf(http.StatusServiceUnavailable, "stop asking"))
			return
		}
		yield(api.Piece{Finish: "stop"}, nil)
	}
}
