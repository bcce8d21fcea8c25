package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const hi = `{"messages": [{"role": "user", "content": "Hi"}]`

// scrub takes out of an answer what differs each time.
func scrub(t *testing.T, text string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	for _, key := range []string{"id", "created"} {
		if v[key] == nil {
			t.Errorf("no %s in %s", key, text)
		}
		delete(v, key)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

const usage = `"usage":{"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":4},"prompt_cache_hit_tokens":64,` +
	`"prompt_cache_miss_tokens":36,"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":64},"total_tokens":109}`

// TestWhole: the fields that OpenAI's and DeepSeek's clients want, null where there is nothing to put.
func TestWhole(t *testing.T) {
	w := ask1(&fake{pieces: thinking}, hi+"}")
	want := `{"choices":[{"finish_reason":"stop","index":0,"logprobs":null,"message":{"content":"It is 42.",` +
		`"reasoning_content":"Let me see.","refusal":null,"role":"assistant"}}],"model":"small","object":"chat.completion",` +
		`"system_fingerprint":"sprat",` + usage + `}`
	if got := scrub(t, w.Body.String()); w.Code != http.StatusOK || got != want {
		t.Errorf("status %d\n%s\nwant\n%s", w.Code, got, want)
	}
	var reply completion
	w = ask1(&fake{pieces: []Piece{{Text: "Yes."}, {Finish: "length"}}}, hi+`, "model": "large"}`)
	decode(t, strings.NewReader(w.Body.String()), &reply)
	if reply.Model != "large" || !strings.Contains(w.Body.String(), `"reasoning_content":null`) {
		t.Error(w.Body.String())
	}
}

// TestStream: the events that DeepSeek sends, in its order.
func TestStream(t *testing.T) {
	chunk := func(delta, finish, usage string) string {
		return `{"choices":[{"delta":{` + delta + `},"finish_reason":` + finish + `,"index":0,"logprobs":null}],` +
			`"model":"small","object":"chat.completion.chunk","system_fingerprint":"sprat",` + usage + `}`
	}
	const none = `"usage":null`
	want := []string{
		chunk(`"content":null,"reasoning_content":"","role":"assistant"`, "null", none),
		chunk(`"content":null,"reasoning_content":"Let me "`, "null", none),
		chunk(`"content":null,"reasoning_content":"see."`, "null", none),
		chunk(`"content":"It is ","reasoning_content":null`, "null", none),
		chunk(`"content":"42.","reasoning_content":null`, "null", none),
		chunk(`"content":"","reasoning_content":null`, `"stop"`, usage),
		`{"choices":[],"model":"small","object":"chat.completion.chunk","system_fingerprint":"sprat",` + usage + `}`,
	}
	w := ask1(&fake{pieces: thinking}, hi+`, "stream": true, "stream_options": {"include_usage": true}}`)
	events := strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
	if n := len(want); len(events) != n+1 || events[n] != "data: [DONE]" || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%q", w.Body)
	}
	for i := range want {
		data, ok := strings.CutPrefix(events[i], "data: ")
		if got := scrub(t, data); !ok || got != want[i] {
			t.Errorf("event %d\n%s\nwant\n%s", i, got, want[i])
		}
	}
	w = ask1(&fake{pieces: thinking}, hi+`, "stream": true}`)
	if n := strings.Count(w.Body.String(), "data: "); n != 7 {
		t.Errorf("%d events without include_usage, want 7", n)
	}
}

func TestLogprobs(t *testing.T) {
	token := Token{Text: "né"[:2], Logprob: -0.5, Top: []Token{{Text: "a", Logprob: float32(math.Inf(-1))}}}
	pieces := []Piece{{Text: "Hm", Thought: true, Tokens: []Token{{Text: "Hm", Logprob: -1}}}, {Text: "n", Tokens: []Token{token}}, {Finish: "stop"}}
	want := `"logprobs":{"content":[{"token":"n�","logprob":-0.5,"bytes":[110,195],"top_logprobs":[{"token":"a","logprob":-9999,"bytes":[97]}]}],` +
		`"reasoning_content":[{"token":"Hm","logprob":-1,"bytes":[72,109],"top_logprobs":[]}],"refusal":null}`
	f := &fake{pieces: pieces}
	if w := ask1(f, hi+`, "logprobs": true, "top_logprobs": 1}`); !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s\nwant in it\n%s", w.Body, want)
	}
	if !f.asked.Logprobs || f.asked.TopLogprobs != 1 {
		t.Errorf("asked %+v", f.asked)
	}
	w := ask1(&fake{pieces: pieces}, hi+`, "logprobs": true, "stream": true}`)
	if n := strings.Count(w.Body.String(), `"bytes":[110,195]`); n != 1 {
		t.Errorf("the stream has the token %d times: %s", n, w.Body)
	}
}

// TestKeepAlive: a comment for every five seconds of silence, and none more when it is over.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ask1(&fake{pieces: thinking, pause: 12 * time.Second}, hi+`, "stream": true}`)
		time.Sleep(time.Minute)
		body := w.Body.String()
		if n := strings.Count(body, ": keep-alive\n\n"); n != 2*len(thinking) || !strings.HasPrefix(body, ": keep-alive\n\n: keep-alive\n\ndata: ") {
			t.Errorf("%d comments in %q, want %d", n, body, 2*len(thinking))
		}
		if !strings.HasSuffix(body, "data: [DONE]\n\n") {
			t.Errorf("%q after the end", body)
		}
	})
}

// TestErrors: before the first piece an error has a status, after it an event, and is told to the client only if it is for the client.
func TestErrors(t *testing.T) {
	busy := &Error{Status: http.StatusServiceUnavailable, Message: "busy"}
	secret := errors.New("disk /dev/sda is on fire")
	for _, stream := range []string{"true", "false"} {
		body := hi + `, "stream": ` + stream + "}"
		w := ask1(&fake{err: busy}, body)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.TrimSpace(w.Body.String()) != `{"error":{"message":"busy","type":"server_error","param":null,"code":"server_error"}}` {
			t.Errorf("stream %s: status %d: %s", stream, w.Code, w.Body)
		}
		w = ask1(&fake{err: secret}, body)
		if w.Code != 500 || strings.Contains(w.Body.String(), "fire") {
			t.Errorf("stream %s: status %d: %s", stream, w.Code, w.Body)
		}
	}
	w := ask1(&fake{pieces: thinking, err: secret}, hi+`, "stream": true}`)
	if body := w.Body.String(); w.Code != 200 || strings.Contains(body, "fire") || strings.Contains(body, "[DONE]") || !strings.Contains(body, `data: {"error":{`) {
		t.Errorf("status %d: %s", w.Code, body)
	}
}

// TestErrorAfterKeepAlive: the status is sent, so the error is an event.
func TestErrorAfterKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ask1(&fake{pieces: []Piece{{Finish: "stop"}}, pause: 6 * time.Second, err: Errorf(400, "too long")}, hi+`, "stream": true}`)
		if body := w.Body.String(); w.Code != 200 || !strings.HasPrefix(body, ": keep-alive\n\ndata: {\"error\":{\"message\":\"too long\"") {
			t.Errorf("status %d: %s", w.Code, body)
		}
	})
}

// TestDisconnect: when the client goes, the completer is told at once, be the answer streamed or not.
func TestDisconnect(t *testing.T) {
	for _, stream := range []string{"true", "false"} {
		f := &fake{pieces: make([]Piece, 1000), pause: 5 * time.Millisecond, ended: make(chan struct{})}
		server := httptest.NewServer(New(f, slog.New(slog.DiscardHandler)))
		defer server.Close()
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/chat/completions", strings.NewReader(hi+`, "stream": `+stream+"}"))
		time.AfterFunc(50*time.Millisecond, cancel)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		select {
		case <-f.ended:
		case <-time.After(2 * time.Second):
			t.Errorf("stream %s: the answer goes on without a client", stream)
		}
	}
}

// TestPiecesAreSentAtOnce: no event waits for the next.
func TestPiecesAreSentAtOnce(t *testing.T) {
	more := make(chan Piece)
	server := httptest.NewServer(New(piped{more}, slog.New(slog.DiscardHandler)))
	defer server.Close()
	go func() { more <- Piece{Text: "one"} }()
	answer, err := http.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(hi+`, "stream": true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for _, word := range []string{"one", "two", "three"} {
		for lines.Scan() && !strings.Contains(lines.Text(), `"`+word+`"`) {
		}
		if lines.Err() != nil {
			t.Fatal(lines.Err())
		}
		switch word {
		case "one":
			more <- Piece{Text: "two"}
		case "two":
			more <- Piece{Text: "three"}
		}
	}
	close(more)
}

func TestRoutes(t *testing.T) {
	f := &fake{}
	w := do(f, http.MethodGet, "/v1/models", "")
	var list wireModels
	decode(t, w.Body, &list)
	if w.Code != 200 || list.Object != "list" || len(list.Data) != 2 || list.Data[0].ID != "small" || list.Data[0].Object != "model" || !list.Data[0].About.Thinks {
		t.Errorf("status %d: %+v", w.Code, list)
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, "/v1/models", 405}, {http.MethodGet, "/v1/chat/completions", 405}, {http.MethodDelete, "/v1/chat/completions", 405},
		{http.MethodGet, "/v1/", 404}, {http.MethodPost, "/v1/embeddings", 404},
	} {
		w := do(f, c.method, c.path, "")
		var e wireError
		decode(t, w.Body, &e)
		if w.Code != c.status || e.Error.Message == "" || e.Error.Type != "invalid_request_error" {
			t.Errorf("%s %s: status %d, %+v; want %d", c.method, c.path, w.Code, e, c.status)
		}
	}
}
