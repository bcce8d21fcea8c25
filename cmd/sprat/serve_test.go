package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// start runs sprat with no verb, on a port that is free, and returns the link that it prints. stop ends it as Ctrl-C does.
func start(t *testing.T, args ...string) (link string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		status := run(append([]string{"--addr", "127.0.0.1:0", "--no-browser"}, args...), &env{ctx: ctx, stdin: strings.NewReader(""), stdout: stdout, stderr: &errs})
		stdout.CloseWithError(fmt.Errorf("status %d", status))
		ended <- status
	}()
	if _, err := fmt.Fscanf(out, "sprat: the chat is at %s\n", &link); err != nil {
		t.Fatalf("sprat %v: %v: %s", args, err, errs.String())
	}
	stop = func() {
		t.Helper()
		cancel()
		if status := <-ended; status != 0 || errs.Len() > 0 {
			t.Errorf("sprat %v ended with status %d: %s", args, status, errs.String())
		}
	}
	return link, stop
}

// post asks a chat completion of a running sprat.
func post(t *testing.T, ctx context.Context, link, body string) *http.Response {
	t.Helper()
	url, _, _ := strings.Cut(link, "#")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// TestFirstAnswer: an answer comes. How long it takes from the command on is said, and with SPRAT_TIMED, on a machine that has nothing
// else to do, must be under two seconds.
func TestFirstAnswer(t *testing.T) {
	began := time.Now()
	link, stop := start(t)
	defer stop()
	answer := post(t, t.Context(), link, `{"messages": [{"role": "user", "content": "What is 348 times 27?"}], "stream": true, "max_tokens": 20}`)
	first := make([]byte, 6)
	if _, err := io.ReadFull(answer.Body, first); err != nil || string(first) != "data: " {
		t.Fatalf("%q, %v", first, err)
	}
	if took := time.Since(began); took > 2*time.Second && os.Getenv("SPRAT_TIMED") != "" {
		t.Errorf("the first words took %v", took)
	} else {
		t.Logf("the first words took %v", took)
	}
	if rest, err := io.ReadAll(answer.Body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%v: the stream ends %q", err, rest)
	}
}

// TestPage: what is embedded is served at the link.
func TestPage(t *testing.T) {
	link, stop := start(t)
	defer stop()
	answer, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.HasPrefix(string(text), "<!doctype html>") || !strings.Contains(link, "/#key=") {
		t.Errorf("%v: %s is %.100q", err, link, text)
	}
}

// TestCtrlC ends the program while an answer is under way, which has a moment to end by itself.
func TestCtrlC(t *testing.T) {
	link, stop := start(t)
	answer := post(t, t.Context(), link, `{"messages": [{"role": "user", "content": "Once"}], "stream": true, "max_tokens": 50}`)
	if _, err := io.ReadFull(answer.Body, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > grace+time.Minute {
		t.Errorf("it took %v", took)
	}
	if rest, err := io.ReadAll(answer.Body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%v: the stream ends %q", err, rest)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(strings.Split(link, "/#")[0], "http://")); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

// TestTwoModels: one under a name of its own, loaded when asked.
func TestTwoModels(t *testing.T) {
	link, stop := start(t, "--model", "nano", "--model", "other=nano")
	defer stop()
	loaded := func(name string) (is bool) {
		answer, err := http.Get(strings.Split(link, "#")[0] + "v1/models")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var list struct {
			Data []struct {
				ID    string
				Sprat struct{ Loaded bool }
			}
		}
		if err := json.NewDecoder(answer.Body).Decode(&list); err != nil || len(list.Data) != 2 || list.Data[0].ID != "nano" {
			t.Fatalf("%v: %+v", err, list)
		}
		for _, m := range list.Data {
			is = is || m.ID == name && m.Sprat.Loaded
		}
		return is
	}
	if loaded("other") {
		t.Error("a model is loaded that nobody asked for")
	}
	var reply struct{ Model string }
	answer := post(t, t.Context(), link, `{"model": "other", "messages": [{"role": "user", "content": "Once"}], "max_tokens": 2}`)
	if err := json.NewDecoder(answer.Body).Decode(&reply); err != nil || reply.Model != "other" || !loaded("other") {
		t.Errorf("%v: %+v, loaded %v", err, reply, loaded("other"))
	}
}

// TestServeMistakes: one line each, with what to do.
func TestServeMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	go func() { // another program, that answers nothing
		for {
			c, err := taken.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	link, stop := start(t)
	defer stop()
	sprats := strings.TrimPrefix(strings.Split(link, "/#")[0], "http://")
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"--addr " + taken.Addr().String(), exitFailed, "another program"},
		{"--addr " + sprats, exitFailed, "another sprat"},
		{"--addr 0.0.0.0:8080", exitUsage, "accounts"},
		{"--addr :8080", exitUsage, "accounts"},
		{"--addr 192.0.2.1:8080", exitUsage, "accounts"},
		{"--addr [::]:8080", exitUsage, "accounts"},
		{"--addr example.com:8080", exitUsage, "accounts"},
		{"--addr 8080", exitUsage, "HOST:PORT"},
		{"--addr localhost:http", exitUsage, "65535"},
		{"--addr localhost:70000", exitUsage, "65535"},
		{"serve --model /nowhere", exitFailed, "/nowhere"},
		{"serve --model mine=/nowhere", exitFailed, "/nowhere"},
		{"serve --model " + t.TempDir(), exitFailed, "config.json"},
		{"serve --model nano --model nano", exitUsage, "another one"},
		{"serve --model ../../testdata/gold/v3-basic", exitFailed, "tokenizer.json"},
		{"serve --modell nano", exitUsage, "--modell"},
	} {
		_, errs, status := sprat(t, "", strings.Split(c.args, " ")...)
		if status != c.status || !strings.HasPrefix(errs, "sprat: ") || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("sprat %s: status %d, %q; want %d and one line with %q in it", c.args, status, errs, c.status, c.want)
		}
	}
}
