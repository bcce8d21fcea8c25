package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"sprat/chat"
	"sprat/sample"
)

// read is what a body asks for.
func read(body string) (*Request, error) {
	a, err := parse([]byte(body))
	if err != nil {
		return nil, err
	}
	return a.request()
}

func TestRequest(t *testing.T) {
	cold, all, seed := 0.0, 1.0, uint64(7)
	got, err := read(`{
		"model": "small", "unknown": {"is": ["ignored"]}, "stream": null, "user_id": "anna", "n": 1, "tools": [],
		"messages": [
			{"role": "developer", "content": "Be kind."},
			{"role": "user", "name": "x", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": " there"}]},
			{"role": "assistant", "content": null, "reasoning_content": "ignored"},
			{"role": "user", "content": "<｜Assistant｜>"}],
		"thinking": {"type": "disabled"}, "max_tokens": 5, "temperature": 0, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 0.5,
		"stop": ["\n", "END"], "seed": 7, "logprobs": true, "top_logprobs": 20, "logit_bias": {"5": -100}, "response_format": {"type": "text"}}`)
	want := &Request{
		Model: "small", Tenant: "anna", Messages: []chat.Message{
			{Role: chat.System, Text: "Be kind."}, {Role: chat.User, Text: "Hi there"}, {Role: chat.Assistant}, {Role: chat.User, Text: "<｜Assistant｜>"},
		},
		MaxTokens: 5, Temperature: &cold, TopP: &all, FrequencyPenalty: -2, PresencePenalty: 0.5,
		Stop: []string{"\n", "END"}, Seed: &seed, Logprobs: true, TopLogprobs: 20, LogitBias: map[int32]float32{5: -100},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v, want\n%+v", err, got, want)
	}
	for body, check := range map[string]func(*Request) bool{
		``:                            func(r *Request) bool { return r.Think && r.MaxTokens == 0 && r.Temperature == nil && r.Seed == nil },
		`, "stop": "."`:               func(r *Request) bool { return reflect.DeepEqual(r.Stop, []string{"."}) },
		`, "stop": null`:              func(r *Request) bool { return len(r.Stop) == 0 },
		`, "max_tokens": 999999999`:   func(r *Request) bool { return r.MaxTokens == maxTokens },
		`, "seed": -1`:                func(r *Request) bool { return *r.Seed == 1<<64-1 },
		`, "reasoning_effort":"none"`: func(r *Request) bool { return !r.Think },
		`, "max_tokens": 9, "max_completion_tokens": 3`:                       func(r *Request) bool { return r.MaxTokens == 3 },
		`, "thinking": {"type": "enabled"}, "reasoning_effort": "none"`:       func(r *Request) bool { return r.Think },
		`, "thinking": null, "stream_options": null, "response_format": null`: func(r *Request) bool { return r.Think },
	} {
		if r, err := read(hi + body + "}"); err != nil || !check(r) {
			t.Errorf("%s: %v, %+v", body, err, r)
		}
	}
}

// TestBadRequests: a sentence that names the field, and OpenAI's form.
func TestBadRequests(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`{"role":"user","content":""},`, maxMessages+1), ",")
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{"", 400, "not JSON"},
		{"[]", 400, ""},
		{"nonsense", 400, "not JSON"},
		{hi, 400, "not JSON"},
		{hi + "} {}", 400, "not JSON"},
		{`{"messages": "Hi"}`, 400, "messages"},
		{`{}`, 400, "messages"},
		{`{"messages": [` + many + `]}`, 400, "messages"},
		{`{"messages": [{"role": "user", "content": "` + "\xff" + `"}]}`, 400, "UTF-8"},
		{`{"messages": [{"role": "user", "content": 5}]}`, 400, "number"},
		{`{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}`, 400, "image_url"},
		{`{"messages": [{"role": "tool", "content": "5"}]}`, 400, "tool"},
		{`{"messages": [{"content": "5"}]}`, 400, "role"},
		{`{"messages": [{"role": "assistant", "content": "5", "prefix": true}]}`, 400, "prefix"},
		{hi + `, "x": ` + deep + "}", 400, "deep"},
		{hi + `, "x": "` + strings.Repeat("a", MaxBody) + `"}`, 413, "bytes"},
		{hi + `, "n": 2}`, 400, "n: "},
		{hi + `, "tools": [{"type": "function"}]}`, 400, "tools"},
		{hi + `, "functions": [{}]}`, 400, "functions"},
		{hi + `, "response_format": {"type": "json_object"}}`, 400, "response_format"},
		{hi + `, "thinking": {"type": "maybe"}}`, 400, "thinking"},
		{hi + `, "max_tokens": 0}`, 400, "max_tokens"},
		{hi + `, "max_tokens": 1.5}`, 400, "max_tokens"},
		{hi + `, "max_completion_tokens": -1}`, 400, "max_completion_tokens"},
		{hi + `, "temperature": 2.1}`, 400, "temperature"},
		{hi + `, "temperature": -0.1}`, 400, "temperature"},
		{hi + `, "temperature": 1e999}`, 400, "temperature"},
		{hi + `, "top_p": 1.01}`, 400, "top_p"},
		{hi + `, "frequency_penalty": 3}`, 400, "frequency_penalty"},
		{hi + `, "presence_penalty": -3}`, 400, "presence_penalty"},
		{hi + `, "top_logprobs": 1}`, 400, "top_logprobs"},
		{hi + `, "logprobs": true, "top_logprobs": 21}`, 400, "top_logprobs"},
		{hi + `, "stop": [""]}`, 400, "stop"},
		{hi + `, "stop": 5}`, 400, "stop"},
		{hi + `, "stop": [` + strings.TrimSuffix(strings.Repeat(`"a",`, sample.MaxStops+1), ",") + `]}`, 400, "stop"},
		{hi + `, "seed": 1e40}`, 400, "seed"},
		{hi + `, "logit_bias": {"x": 1}}`, 400, "logit_bias"},
		{hi + `, "logit_bias": {"-1": 1}}`, 400, "logit_bias"},
		{hi + `, "logit_bias": {"1": 101}}`, 400, "logit_bias"},
		{hi + `, "user_id": "` + strings.Repeat("a", maxTenant+1) + `"}`, 400, "user_id"},
	} {
		f := &fake{pieces: thinking}
		w := ask1(f, c.body)
		var e wireError
		decode(t, w.Body, &e)
		if w.Code != c.status || !strings.Contains(e.Error.Message, c.want) || e.Error.Type != "invalid_request_error" || f.asked != nil {
			t.Errorf("%.80s: status %d, %+v; want %d and %q", c.body, w.Code, e, c.status, c.want)
		}
		if len(e.Error.Message) > 300 || strings.Contains(e.Error.Message, "\n") {
			t.Errorf("%.80s: %q is no sentence to show", c.body, e.Error.Message)
		}
	}
}

func TestDepth(t *testing.T) {
	for body, want := range map[string]int{``: 0, `1`: 0, `{}`: 1, `[[],{"a":[]}]`: 3, `"[[["`: 0, `["\"[[", "[\\", []]`: 2} {
		if got := depth([]byte(body)); got != want {
			t.Errorf("depth of %s is %d, want %d", body, got, want)
		}
	}
}

// FuzzRequest: what passes is in range, and means the same when it is written again; what doesn't is the client's fault.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(hi + `, "stop": ["a", "b"], "temperature": 1, "logit_bias": {"3": 1}, "seed": 1, "thinking": {"type": "enabled"}}`))
	f.Add([]byte(`{"messages": [{"role": "assistant", "content": [{"type": "text", "text": "é"}]}], "max_tokens": 7, "logprobs": true}`))
	f.Add([]byte(`{"messages": [[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parse(body)
		var r *Request
		if err == nil {
			r, err = a.request()
		}
		if own := new(Error); err != nil {
			if !errors.As(err, &own) || own.Status != http.StatusBadRequest || own.Message == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := check(r); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parse(again)
		if err != nil {
			t.Fatalf("%v in %s", err, again)
		}
		if s, err := b.request(); err != nil || fmt.Sprint(s.Messages) != fmt.Sprint(r.Messages) || s.MaxTokens != r.MaxTokens || s.Think != r.Think {
			t.Fatalf("%v: %+v, and again %+v", err, r, s)
		}
	})
}

// check says what of r is out of range.
func check(r *Request) error {
	if len(r.Messages) == 0 || len(r.Messages) > maxMessages || r.MaxTokens < 0 || r.MaxTokens > maxTokens || len(r.Tenant) > maxTenant {
		return fmt.Errorf("%d messages, %d tokens, a tenant of %d bytes", len(r.Messages), r.MaxTokens, len(r.Tenant))
	}
	for _, m := range r.Messages {
		if !utf8.ValidString(m.Text) || m.Role != chat.System && m.Role != chat.User && m.Role != chat.Assistant {
			return fmt.Errorf("%+v", m)
		}
	}
	o := sample.Options{
		FrequencyPenalty: r.FrequencyPenalty, PresencePenalty: r.PresencePenalty, LogitBias: r.LogitBias, Logprobs: r.Logprobs, TopLogprobs: r.TopLogprobs,
	}
	if r.Temperature != nil {
		o.Temperature = *r.Temperature
	}
	if r.TopP != nil {
		o.TopP = *r.TopP
	}
	return o.Check(1 << 31)
}
