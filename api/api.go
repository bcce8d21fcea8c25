// Package api is the HTTP interface: OpenAI's, with what DeepSeek's adds to it.
//
//	POST /v1/chat/completions   an answer, whole or as a stream of events
//	GET  /v1/models             what there is to answer with
//
//	http.Handle("/v1/", api.New(completer, log))
//
// It reads requests, strictly, and writes responses; the answers are a Completer's. Who may ask is not its concern: what wraps it
// says so. Beyond OpenAI's are thinking ({"type": "enabled" or "disabled"}), reasoning_content in what comes back, user_id, which
// keeps cached prefixes apart, prompt_cache_hit_tokens and prompt_cache_miss_tokens, and in each model the object About.
// Fields that it does not know are ignored, as OpenAI does; what it knows and can't do (tools, n, other formats than text) is an
// error, so that nobody takes the answer for what they asked for.
package api

import (
	"context"
	"iter"
	"log/slog"
	"net/http"

	"sprat/chat"
)

// Completer answers conversations, with one model or with many, here or elsewhere.
type Completer interface {
	// Models are those there are, the one for requests that name none first.
	Models() []Model

	// Complete yields r's answer as it comes. The last piece has Finish. An error comes instead of it, an *Error if it is for the
	// client to read. Answering stops within a step when ctx ends, or the loop is left.
	Complete(ctx context.Context, r *Request) iter.Seq2[Piece, error]
}

// Request asks for the next message of a conversation. Its numbers are in range. What a nil leaves open is the model's to say.
type Request struct {
	Model    string // "": the default one
	Tenant   string // whose cached prefixes it may find
	Messages []chat.Message
	Think    bool // if the model can

	MaxTokens        int // thought and said; 0: the model's
	Stop             []string
	Temperature      *float64
	TopP             *float64
	FrequencyPenalty float64
	PresencePenalty  float64
	LogitBias        map[int32]float32
	Seed             *uint64
	Logprobs         bool
	TopLogprobs      int
}

// Piece is a piece of an answer.
type Piece struct {
	Text    string
	Thought bool    // Text is thought, not said
	Tokens  []Token // those of the piece, with Request.Logprobs

	Finish string // of the last piece: stop or length
	Usage  Usage  // likewise
}

// Token is a token with its log probability.
type Token struct {
	Text    string // its bytes, perhaps only a part of a character
	Logprob float32
	Top     []Token // the most likely ones in its place
}

// Usage is what an answer took, in tokens.
type Usage struct {
	Prompt, Cached     int // of the prompt, and of these so many were in the cache
	Generated, Thought int // generated, and of these so many were thought
}

// Model is a model that answers.
type Model struct {
	ID      string
	Created int64 // Unix seconds
	About   About
}

// About tells what to expect of a model: /v1/models has it under "sprat".
type About struct {
	Default     bool     `json:"default"`
	Loaded      bool     `json:"loaded"`
	Chat        bool     `json:"chat"`       // false: it continues text, and knows no turns
	Thinks      bool     `json:"thinks"`     // it can think, and does if the request doesn't say otherwise
	Toggles     bool     `json:"toggles"`    // and it was trained to answer without thinking too
	Context     int      `json:"context"`    // tokens, of question and answer together
	MaxTokens   int      `json:"max_tokens"` // what an answer is bounded by where the request says nothing; 0: the context
	Parameters  int64    `json:"parameters"`
	Activated   int64    `json:"activated"` // parameters for a token, the head counted
	Note        string   `json:"note"`      // a sentence on what it can't do
	Suggestions []string `json:"suggestions"`
}

// handler serves the routes.
type handler struct {
	completer Completer
	log       *slog.Logger
}

// New returns the handler of the routes under /v1/. What goes wrong without being the client's fault is logged: never what was
// asked or answered.
func New(c Completer, log *slog.Logger) http.Handler {
	h := &handler{c, log}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, Errorf(http.StatusNotFound, "there is no %.100q: want /v1/chat/completions or /v1/models", r.URL.Path))
	})
	for _, route := range []struct {
		method, path string
		handler      http.HandlerFunc
	}{
		{http.MethodPost, "/v1/chat/completions", h.chat},
		{http.MethodGet, "/v1/models", h.models},
	} {
		mux.HandleFunc(route.method+" "+route.path, route.handler)
		mux.HandleFunc(route.path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", route.method)
			WriteError(w, Errorf(http.StatusMethodNotAllowed, "%s takes %s", route.path, route.method))
		})
	}
	return mux
}

func (h *handler) models(w http.ResponseWriter, _ *http.Request) {
	list := wireModels{Object: "list", Data: []wireModel{}}
	for _, m := range h.completer.Models() {
		list.Data = append(list.Data, wireModel{m.ID, "model", m.Created, "sprat", m.About})
	}
	WriteJSON(w, http.StatusOK, list)
}
