package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sprat/api"
	"sprat/chat"
	"sprat/config"
	"sprat/device/cpu"
	"sprat/model"
	"sprat/tokenizer"
	"sprat/train"
)

// tiny is the directory of a model with random weights, whose tokenizer has these tokens beside the usual ones.
func tiny(t *testing.T, added ...string) (dir string, m *model.Model, tok *tokenizer.Tokenizer) {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{strings.Repeat("The cat sat on the mat. ", 9)}), tokenizer.TrainOptions{
		VocabSize: 280, SpecialTokens: []string{tokenizer.BOS, tokenizer.EOS, tokenizer.Pad}, AddedTokens: added,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadFS(os.DirFS("../testdata/gold/v3-basic"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.VocabSize, cfg.MaxPositionEmbeddings = tok.VocabSize(), 32768
	dev := cpu.New(1)
	t.Cleanup(dev.Close)
	m = model.New(cfg, dev, model.Options{Positions: 32})
	m.Init(1, model.InitStd(cfg.HiddenSize))
	dir = t.TempDir()
	if err := train.Save(dir, m, tok, "f32", ""); err != nil {
		t.Fatal(err)
	}
	return dir, m, tok
}

// thinker is Models of a model that knows turns and thinks.
func thinker(t *testing.T) (*Models, *model.Model, *tokenizer.Tokenizer) {
	t.Helper()
	dir, m, tok := tiny(t, tokenizer.User, tokenizer.Assistant, tokenizer.Think, tokenizer.EndThink)
	models, err := OpenModels([]Source{{"tiny", os.DirFS(dir)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(models.Close)
	return models, m, tok
}

// answered is all of an answer.
type answered struct {
	thought, said string
	tokens        []api.Token
	last          api.Piece
}

func complete(t *testing.T, m *Models, r *api.Request) (a answered) {
	t.Helper()
	for p, err := range m.Complete(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		if p.Thought {
			a.thought += p.Text
		} else {
			a.said += p.Text
		}
		a.tokens = append(a.tokens, p.Tokens...)
		a.last = p
	}
	return a
}

// ask is a request whose answer is made of the token of a text alone.
func ask(tok *tokenizer.Tokenizer, text string, max int) *api.Request {
	id := tok.Encode(nil, text)[0]
	cold := 0.0
	return &api.Request{Messages: []chat.Message{{Role: chat.User, Text: "Hi"}}, MaxTokens: max, Temperature: &cold, LogitBias: map[int32]float32{id: 100}}
}

// TestAnswers: where the model's tokens go, and what is counted.
func TestAnswers(t *testing.T) {
	m, _, tok := thinker(t)
	for _, c := range []struct {
		name          string
		token         string
		think         bool
		stop          string
		thought, said string
		finish        string
		usage         api.Usage
	}{
		{"said", "a", false, "", "", "aaaaaa", "length", api.Usage{Generated: 6}},
		{"thought", "a", true, "", "aaaaaa", "", "length", api.Usage{Generated: 6, Thought: 6}},
		{"stopped", "a", false, "aaa", "", "", "stop", api.Usage{Generated: 3}},
		{"a stop that is only thought", "a", true, "aaa", "aaaaaa", "", "length", api.Usage{Generated: 6, Thought: 6}},
		{"a stop that does not come", "a", false, "aaaaaaaa", "", "aaaaaa", "length", api.Usage{Generated: 6}},
		{"ended at once", tokenizer.EOS, false, "", "", "", "stop", api.Usage{Generated: 1}},
		{"the user's turn", tokenizer.User, false, "", "", "", "stop", api.Usage{Generated: 1}},
		{"thought to the end", tokenizer.EndThink, true, "", "", "", "length", api.Usage{Generated: 6, Thought: 1}},
		{"thoughts that begin late", tokenizer.Think, false, "", "", "", "length", api.Usage{Generated: 6, Thought: 5}},
	} {
		r := ask(tok, c.token, 6)
		r.Think = c.think
		if c.stop != "" {
			r.Stop = []string{c.stop}
		}
		a := complete(t, m, r)
		u := a.last.Usage
		if u.Prompt == 0 {
			t.Errorf("%s: no tokens in the prompt", c.name)
		}
		u.Prompt, u.Cached = 0, 0
		if a.thought != c.thought || a.said != c.said || a.last.Finish != c.finish || u != c.usage {
			t.Errorf("%s: thought %q, said %q, finish %s, %+v", c.name, a.thought, a.said, a.last.Finish, u)
		}
	}
}

func TestLogprobs(t *testing.T) {
	m, _, tok := thinker(t)
	r := ask(tok, "a", 3)
	r.Logprobs, r.TopLogprobs = true, 2
	a := complete(t, m, r)
	if len(a.tokens) != 3 || a.tokens[0].Text != "a" || len(a.tokens[0].Top) != 2 || a.tokens[0].Logprob >= 0 || a.tokens[0].Top[0].Logprob < a.tokens[0].Logprob {
		t.Errorf("%+v", a.tokens)
	}
}

// TestDefaults: what a request leaves open, the model's files say; a seed gives the same answer again.
func TestDefaults(t *testing.T) {
	m, _, _ := thinker(t)
	if m.list[0].defaults != (generation{0.7, 0.95}) {
		t.Errorf("%+v, not what generation_config.json says", m.list[0].defaults)
	}
	seed, other := uint64(5), uint64(6)
	text := func(seed *uint64) string {
		return complete(t, m, &api.Request{Messages: []chat.Message{{Role: chat.User, Text: "Hi"}}, MaxTokens: 30, Seed: seed}).said
	}
	first := text(&seed)
	if again := text(&seed); again != first {
		t.Errorf("the same seed gives %q and %q", first, again)
	}
	random, another := text(nil), text(nil)
	if text(&other) == first || random == another {
		t.Error("other seeds give the same text")
	}
}

// TestConversationIsCached: the next turn finds the one before, of its own tenant.
func TestConversationIsCached(t *testing.T) {
	m, _, tok := thinker(t)
	r := ask(tok, "a", 70)
	r.Messages[0].Text = strings.Repeat("sat, ", 100)
	r.Tenant = "anna"
	first := complete(t, m, r)
	r.Messages = append(r.Messages, chat.Message{Role: chat.Assistant, Text: first.said}, chat.Message{Role: chat.User, Text: "And?"})
	r.Tenant = "bob"
	if u := complete(t, m, r).last.Usage; u.Cached != 0 {
		t.Errorf("another tenant finds %d tokens", u.Cached)
	}
	r.Tenant = "anna"
	u, before := complete(t, m, r).last.Usage, first.last.Usage
	if all := before.Prompt + before.Generated - 1; u.Cached < all-all%64 || u.Cached > u.Prompt {
		t.Errorf("of %d tokens, %d of them the turn before, %d were cached", u.Prompt, all, u.Cached)
	}
}

func TestRefusals(t *testing.T) {
	m, _, tok := thinker(t)
	long := ask(tok, "a", 1)
	long.Messages[0].Text = strings.Repeat("cat? ", 20000)
	stranger := ask(tok, "a", 1)
	stranger.Model = "gpt-7"
	bias := ask(tok, "a", 1)
	bias.LogitBias[99999] = 1
	for _, c := range []struct {
		r      *api.Request
		status int
		code   string
	}{{long, 400, "context_length_exceeded"}, {stranger, 404, "model_not_found"}, {bias, 400, ""}} {
		for _, err := range m.Complete(t.Context(), c.r) {
			if e := new(api.Error); !errors.As(err, &e) || e.Status != c.status || e.Code != c.code {
				t.Errorf("%v, want status %d, %s", err, c.status, c.code)
			}
		}
	}
}

// TestGoneClient: when the client hangs up, the engine is idle within a step, with most of the answer not made.
func TestGoneClient(t *testing.T) {
	m, weights, tok := thinker(t)
	id := tok.Encode(nil, "a")[0]
	server := httptest.NewServer(api.New(m, slog.New(slog.DiscardHandler)))
	defer server.Close()
	for _, stream := range []string{"true", "false"} {
		ctx, cancel := context.WithCancel(t.Context())
		body := fmt.Sprintf(`{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 30000, "logit_bias": {"%d": 100}, "stream": %s}`, id, stream)
		r, _ := http.NewRequestWithContext(ctx, "POST", server.URL+"/v1/chat/completions", strings.NewReader(body))
		time.AfterFunc(100*time.Millisecond, cancel)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		began := time.Now()                                               // the whole answer takes half a minute at least
		if err := m.list[0].engine.Update(weights.Source()); err != nil { // which waits until nothing is under way
			t.Fatal(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("stream %s: the engine goes on for %v", stream, took)
		}
	}
}

// TestDescriptions: what /v1/models says of models with turns, with thoughts, and without.
func TestDescriptions(t *testing.T) {
	text, _, _ := tiny(t)
	both, _, _ := tiny(t, tokenizer.User, tokenizer.Assistant)
	if err := os.WriteFile(filepath.Join(both, "sprat.json"), []byte(`{"note": "Small.", "suggestions": ["Hi"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := OpenModels([]Source{{"text", os.DirFS(text)}, {"turns", os.DirFS(both)}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	list := m.Models()
	a, b := list[0].About, list[1].About
	if !a.Default || a.Loaded || a.Chat || a.Thinks || a.Context != 32768 || a.MaxTokens != textTokens || a.Note == "" || a.Suggestions == nil || a.Parameters <= a.Activated {
		t.Errorf("%+v", a)
	}
	if b.Default || !b.Chat || b.Thinks || b.MaxTokens != 0 || b.Note != "Small." || len(b.Suggestions) != 1 {
		t.Errorf("%+v", b)
	}
	if r := complete(t, m, &api.Request{Messages: []chat.Message{{Role: chat.User, Text: "The cat"}}}); r.last.Usage.Generated > textTokens {
		t.Errorf("%+v", r.last)
	}
	if list = m.Models(); !list[0].About.Loaded || list[1].About.Loaded {
		t.Errorf("loaded: %v and %v", list[0].About.Loaded, list[1].About.Loaded)
	}
}

// TestBadDirectories: a model is refused at the start for what is wrong in its small files.
func TestBadDirectories(t *testing.T) {
	dir, _, _ := tiny(t)
	for name, text := range map[string]string{
		"generation_config.json": `{"temperature": 7}`, "tokenizer_config.json": "{", "sprat.json": `{"note": 5}`, "chat_template.jinja": strings.Repeat("a", maxSmall+1),
	} {
		files := overlay{os.DirFS(dir), fstest.MapFS{name: {Data: []byte(text)}}}
		if _, err := OpenModels([]Source{{"bad", files}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "default"}]}`, "chat_template.jinja": "{{'x'}}"} {
		m, err := OpenModels([]Source{{"good", overlay{os.DirFS(dir), fstest.MapFS{name: {Data: []byte(text)}}}}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m.Close()
	}
}

// overlay has over's files in front of those beneath.
type overlay struct{ beneath, over fs.FS }

func (o overlay) Open(name string) (fs.File, error) {
	if f, err := o.over.Open(name); err == nil && name != "." {
		return f, nil
	}
	return o.beneath.Open(name)
}
