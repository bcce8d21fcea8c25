package api

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fake answers with given pieces, and keeps what it was asked.
type fake struct {
	pieces []Piece
	pause  time.Duration // before each
	err    error         // in place of the last
	asked  *Request
	ended  chan struct{} // closed when its answer is at an end
}

func (f *fake) Models() []Model {
	return []Model{{ID: "small", Created: 1700000000, About: About{Default: true, Thinks: true, Suggestions: []string{}}}, {ID: "large"}}
}

func (f *fake) Complete(ctx context.Context, r *Request) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		f.asked = r
		if f.ended != nil {
			defer close(f.ended)
		}
		for _, p := range f.pieces {
			select {
			case <-time.After(f.pause):
			case <-ctx.Done():
				yield(Piece{}, ctx.Err())
				return
			}
			if p.Finish != "" && f.err != nil {
				break
			}
			if !yield(p, nil) {
				return
			}
		}
		if f.err != nil {
			yield(Piece{}, f.err)
		}
	}
}

// thinking is an answer with a thought.
var thinking = []Piece{
	{Text: "Let me ", Thought: true}, {Text: "see.", Thought: true}, {Text: "It is "}, {Text: "42."},
	{Finish: "stop", Usage: Usage{Prompt: 100, Cached: 64, Generated: 9, Thought: 4}},
}

// do sends a request to a handler over f.
func do(f *fake, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	New(f, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func ask1(f *fake, body string) *httptest.ResponseRecorder {
	return do(f, http.MethodPost, "/v1/chat/completions", body)
}

func decode(t *testing.T, r io.Reader, v any) {
	t.Helper()
	if err := json.NewDecoder(r).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// piped answers with what comes through a channel.
type piped struct{ pieces chan Piece }

func (piped) Models() []Model { return nil }

func (p piped) Complete(context.Context, *Request) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		for p := range p.pieces {
			if !yield(p, nil) {
				return
			}
		}
	}
}
