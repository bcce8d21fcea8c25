package api

import "unicode/utf8"

// What goes out. A pointer is null where OpenAI's schema wants the field, and there is nothing to put there.

type wireModels struct {
	Object string      `json:"object"`
	Data   []wireModel `json:"data"`
}

type wireModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	About   About  `json:"sprat"`
}

// completion is an answer, or a chunk of one.
type completion struct {
	ID          string     `json:"id"`
	Object      string     `json:"object"`
	Created     int64      `json:"created"`
	Model       string     `json:"model"`
	Fingerprint string     `json:"system_fingerprint"`
	Choices     []any      `json:"choices"` // a choice or chunkChoice
	Usage       *wireUsage `json:"usage"`
}

type choice struct {
	Index    int           `json:"index"`
	Message  answer        `json:"message"`
	Logprobs *wireLogprobs `json:"logprobs"`
	Finish   string        `json:"finish_reason"`
}

type answer struct {
	Role      string  `json:"role"`
	Content   string  `json:"content"`
	Reasoning *string `json:"reasoning_content"`
	Refusal   *string `json:"refusal"`
}

type chunkChoice struct {
	Index    int           `json:"index"`
	Delta    delta         `json:"delta"`
	Logprobs *wireLogprobs `json:"logprobs"`
	Finish   *string       `json:"finish_reason"`
}

type delta struct {
	Role      string  `json:"role,omitempty"`
	Content   *string `json:"content"`
	Reasoning *string `json:"reasoning_content"`
}

// newDelta puts text where it belongs.
func newDelta(role, text string, thought bool) delta {
	if thought {
		return delta{Role: role, Reasoning: &text}
	}
	return delta{Role: role, Content: &text}
}

type wireUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Hit        int `json:"prompt_cache_hit_tokens"`
	Miss       int `json:"prompt_cache_miss_tokens"`

	PromptDetails struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

func newUsage(u Usage) *wireUsage {
	w := &wireUsage{Prompt: u.Prompt, Completion: u.Generated, Total: u.Prompt + u.Generated, Hit: u.Cached, Miss: u.Prompt - u.Cached}
	w.PromptDetails.Cached = u.Cached
	w.CompletionDetails.Reasoning = u.Thought
	return w
}

type wireLogprobs struct {
	Content   []wireToken `json:"content"`
	Reasoning []wireToken `json:"reasoning_content,omitempty"`
	Refusal   *string     `json:"refusal"`
}

type wireToken struct {
	Token   string       `json:"token"`
	Logprob float32      `json:"logprob"`
	Bytes   []int        `json:"bytes"`
	Top     *[]wireToken `json:"top_logprobs,omitempty"`
}

// leastLogprob stands for what has no probability: JSON knows no infinity.
const leastLogprob = -9999

// newToken is a token's wire form; top_logprobs is there for those that were chosen, even if it is empty.
func newToken(t Token, chosen bool) wireToken {
	w := wireToken{Token: t.Text, Logprob: max(t.Logprob, leastLogprob), Bytes: make([]int, 0, len(t.Text))}
	if !utf8.ValidString(t.Text) {
		w.Token = string([]rune(t.Text))
	}
	for _, b := range []byte(t.Text) {
		w.Bytes = append(w.Bytes, int(b))
	}
	if chosen {
		top := make([]wireToken, 0, len(t.Top))
		for _, t := range t.Top {
			top = append(top, newToken(t, false))
		}
		w.Top = &top
	}
	return w
}

// add puts a piece's tokens where its text went.
func (l *wireLogprobs) add(p Piece) {
	for _, t := range p.Tokens {
		if p.Thought {
			l.Reasoning = append(l.Reasoning, newToken(t, true))
		} else {
			l.Content = append(l.Content, newToken(t, true))
		}
	}
}

func newLogprobs(r *Request) *wireLogprobs {
	if !r.Logprobs {
		return nil
	}
	return &wireLogprobs{Content: []wireToken{}}
}
