package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"sprat/chat"
	"sprat/sample"
)

// Limits on a request.
const (
	MaxBody     = 1 << 20 // bytes
	maxDepth    = 32      // of JSON's arrays and objects
	maxMessages = 512
	maxTenant   = 512     // bytes of user_id
	maxBias     = 1024    // entries of logit_bias
	maxTokens   = 1 << 24 // more is taken for this
)

// ask is a request for a chat completion as it comes.
type ask struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Thinking struct {
		Type string `json:"type"`
	} `json:"thinking"`
	ReasoningEffort     string             `json:"reasoning_effort"`
	MaxTokens           *int               `json:"max_tokens"`
	MaxCompletionTokens *int               `json:"max_completion_tokens"`
	Temperature         *float64           `json:"temperature"`
	TopP                *float64           `json:"top_p"`
	FrequencyPenalty    float64            `json:"frequency_penalty"`
	PresencePenalty     float64            `json:"presence_penalty"`
	LogitBias           map[string]float64 `json:"logit_bias"`
	Stop                texts              `json:"stop"`
	Seed                *int64             `json:"seed"`
	Logprobs            bool               `json:"logprobs"`
	TopLogprobs         int                `json:"top_logprobs"`
	UserID              string             `json:"user_id"`

	// What is known and not to be had.
	N              *int              `json:"n"`
	Tools          []json.RawMessage `json:"tools"`
	Functions      []json.RawMessage `json:"functions"`
	ResponseFormat struct {
		Type string `json:"type"`
	} `json:"response_format"`
}

// message is one of a conversation as it comes. reasoning_content may be there, and is ignored.
type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
	Prefix  bool    `json:"prefix"`
}

// content is a text, null, or an array of parts.
type content string

func (c *content) UnmarshalJSON(b []byte) error {
	if b[0] != '[' {
		return json.Unmarshal(b, (*string)(c))
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	var all strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return bad("messages", "a part of type %.40q: this server reads text alone", p.Type)
		}
		all.WriteString(p.Text)
	}
	*c = content(all.String())
	return nil
}

// texts is a text, null, or an array of texts.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	if b[0] == '[' || string(b) == "null" {
		return json.Unmarshal(b, (*[]string)(t))
	}
	*t = make(texts, 1)
	return json.Unmarshal(b, &(*t)[0])
}

// readRequest reads the body of a chat completion.
func readRequest(w http.ResponseWriter, r *http.Request) (*ask, *Request, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	switch tooLarge := new(http.MaxBytesError); {
	case errors.As(err, &tooLarge):
		return nil, nil, Errorf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes: shorten the conversation", MaxBody)
	case err != nil:
		return nil, nil, Errorf(http.StatusBadRequest, "the body did not arrive in full")
	}
	a, err := parse(body)
	if err != nil {
		return nil, nil, err
	}
	req, err := a.request()
	return a, req, err
}

// parse reads JSON, within limits.
func parse(body []byte) (*ask, error) {
	if !utf8.Valid(body) {
		return nil, Errorf(http.StatusBadRequest, "the body is not UTF-8")
	}
	if depth(body) > maxDepth {
		return nil, Errorf(http.StatusBadRequest, "the body has arrays and objects more than %d deep", maxDepth)
	}
	a := new(ask)
	err := json.Unmarshal(body, a)
	switch kind, own := new(json.UnmarshalTypeError), new(Error); {
	case errors.As(err, &own):
		return nil, own
	case errors.As(err, &kind):
		return nil, bad(kind.Field, "a JSON %s, which is not what belongs there", kind.Value)
	case err != nil:
		return nil, Errorf(http.StatusBadRequest, "the body is not JSON: %v", err)
	}
	return a, nil
}

// depth is the most arrays and objects within one another in JSON. Of what isn't JSON it is any number.
func depth(body []byte) (most int) {
	now, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			now++
			most = max(most, now)
		case c == ']' || c == '}':
			now--
		}
	}
	return most
}

// request checks what was asked for.
func (a *ask) request() (*Request, error) {
	r := &Request{
		Model: a.Model, Tenant: a.UserID, Stop: a.Stop, Temperature: a.Temperature, TopP: a.TopP,
		FrequencyPenalty: a.FrequencyPenalty, PresencePenalty: a.PresencePenalty, Logprobs: a.Logprobs, TopLogprobs: a.TopLogprobs,
	}
	if a.Seed != nil {
		seed := uint64(*a.Seed)
		r.Seed = &seed
	}
	for _, check := range []func(*Request) error{
		a.checkSupported, a.readMessages, a.readThinking, a.readMaxTokens, a.checkNumbers, a.readBias,
	} {
		if err := check(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (a *ask) checkSupported(*Request) error {
	switch f := a.ResponseFormat.Type; {
	case a.N != nil && *a.N != 1:
		return bad("n", "%d: this server gives one answer a request", *a.N)
	case len(a.Tools) > 0:
		return bad("tools", "this server calls none yet: leave them out")
	case len(a.Functions) > 0:
		return bad("functions", "this server calls none yet: leave them out")
	case f != "" && f != "text":
		return bad("response_format", "type %.40q: this server writes text alone yet", f)
	}
	return nil
}

func (a *ask) readMessages(r *Request) error {
	if n := len(a.Messages); n == 0 || n > maxMessages {
		return bad("messages", "%d: want 1 to %d", n, maxMessages)
	}
	for i, m := range a.Messages {
		role := chat.Role(m.Role)
		switch m.Role {
		case "developer":
			role = chat.System
		case "system", "user", "assistant":
		default:
			return bad("messages", "message %d has the role %.40q: want system, developer, user or assistant", i, m.Role)
		}
		if m.Prefix {
			return bad("messages", "message %d has prefix, which this server can't do yet", i)
		}
		r.Messages = append(r.Messages, chat.Message{Role: role, Text: string(m.Content)})
	}
	return nil
}

func (a *ask) readThinking(r *Request) error {
	switch a.Thinking.Type {
	case "enabled":
		r.Think = true
	case "disabled":
	case "":
		r.Think = a.ReasoningEffort != "none"
	default:
		return bad("thinking", "type %.40q: want enabled or disabled", a.Thinking.Type)
	}
	return nil
}

func (a *ask) readMaxTokens(r *Request) error {
	name, n := "max_tokens", a.MaxTokens
	if a.MaxCompletionTokens != nil {
		name, n = "max_completion_tokens", a.MaxCompletionTokens
	}
	switch {
	case n == nil:
		return nil
	case *n < 1:
		return bad(name, "%d: want 1 or more", *n)
	}
	r.MaxTokens = min(*n, maxTokens)
	return nil
}

func (a *ask) checkNumbers(*Request) error {
	value := func(p *float64) float64 {
		if p == nil {
			return 0
		}
		return *p
	}
	for _, c := range []struct {
		name        string
		value       float64
		least, most float64
	}{
		{"temperature", value(a.Temperature), 0, 2},
		{"top_p", value(a.TopP), 0, 1},
		{"frequency_penalty", a.FrequencyPenalty, -2, 2},
		{"presence_penalty", a.PresencePenalty, -2, 2},
		{"top_logprobs", float64(a.TopLogprobs), 0, sample.MaxTop},
	} {
		if c.value < c.least || c.value > c.most {
			return bad(c.name, "%v: want %v to %v", c.value, c.least, c.most)
		}
	}
	switch _, err := sample.NewEnds(nil, a.Stop); {
	case err != nil:
		return bad("stop", "%v", err)
	case a.TopLogprobs > 0 && !a.Logprobs:
		return bad("top_logprobs", "they come with logprobs: set it too")
	case len(a.UserID) > maxTenant:
		return bad("user_id", "%d bytes: want at most %d", len(a.UserID), maxTenant)
	}
	return nil
}

func (a *ask) readBias(r *Request) error {
	if n := len(a.LogitBias); n > maxBias {
		return bad("logit_bias", "%d entries: want at most %d", n, maxBias)
	}
	for key, v := range a.LogitBias {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil || id < 0 {
			return bad("logit_bias", "the key %.40q: want a token id", key)
		}
		if v < -100 || v > 100 {
			return bad("logit_bias", "%v for token %d: want -100 to 100", v, id)
		}
		if r.LogitBias == nil {
			r.LogitBias = map[int32]float32{}
		}
		r.LogitBias[int32(id)] = float32(v)
	}
	return nil
}
