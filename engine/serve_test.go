package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sprat/config"
	"sprat/device/cpu"
	"sprat/latent"
	"sprat/sample"
)

// tiny is an engine of the gold vectors' model in float32, with a context of 512 tokens.
func tiny(t *testing.T, threads int, opt Options) *Engine {
	t.Helper()
	dir, err := OpenDir(os.DirFS(changed(t, map[string]any{"max_position_embeddings": 512, "eos_token_id": nil}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	dev := cpu.New(threads)
	t.Cleanup(dev.Close)
	if opt.Weights == Stored {
		opt.Weights = F32
	}
	e, err := New(dir, dev, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAndCheck(t, e) })
	return e
}

// closeAndCheck is Close; after it no page is held.
func closeAndCheck(t *testing.T, e *Engine) {
	t.Helper()
	e.Close()
	if err := errors.Join(e.sched.Check(), e.pool.Check(func(func(*latent.Table) bool) {})); err != nil {
		t.Error(err)
	}
	if len(e.streams) > 0 || e.waiting != 0 || e.pool.Available() != e.pool.Pages() {
		t.Errorf("after all has ended: %d streams, %d waiting, %d of %d pages can be had", len(e.streams), e.waiting, e.pool.Available(), e.pool.Pages())
	}
}

func prompt(seed, n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((seed*31 + i*i*7 + i*seed) % 96)
	}
	return ids
}

func collect(t *testing.T, s *Stream) (ids []int32) {
	t.Helper()
	for tok, err := range s.Tokens() {
		if err != nil {
			t.Error(err)
			return ids
		}
		ids = append(ids, tok.ID)
	}
	return ids
}

// generate is what a single request gets.
func generate(t *testing.T, e *Engine, r Request) []int32 {
	t.Helper()
	s, err := e.Submit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return collect(t, s)
}

// requests are of all sorts: long and short, greedy and not, beginning alike and not.
func requests() (rs []Request) {
	for i := range 14 {
		n := []int{3, 70, 200, 130, 1, 64, 65, 300, 190, 33, 128, 127, 260, 90}[i]
		rs = append(rs, Request{
			Tenant: []string{"a", "b"}[i%2], Prompt: prompt(i/5, n), MaxTokens: 5 + i%7*6,
			Sample: sample.Options{Temperature: float64(i%3) * 0.8, TopP: 0.9, Seed: uint64(i)},
		})
	}
	return rs
}

// TestWhoeverElseIsServed: the same requests give the same tokens alone and together, whatever the chunks, the threads and the
// memory of the cache, so little that sequences are preempted among them.
func TestWhoeverElseIsServed(t *testing.T) {
	for _, w := range []Weights{F32, Int4} {
		t.Run(string(w), func(t *testing.T) { checkServed(t, w) })
	}
}

func checkServed(t *testing.T, w Weights) {
	// The absorbed form for every position: rows are then the same bit for bit, whatever was found in the cache.
	rs := requests()
	alone := tiny(t, 2, Options{Weights: w, Sequences: 1, Absorbed: true})
	want := make([][]int32, len(rs))
	for i, r := range rs {
		r.Tenant = fmt.Sprint(i) // finds nothing
		want[i] = generate(t, alone, r)
	}
	for _, c := range []struct {
		threads int
		opt     Options
	}{
		{2, Options{}},
		{1, Options{Chunk: 17}},
		{2, Options{Sequences: 3, Chunk: 100}},
		{2, Options{Cache: 512}},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			c.opt.Weights, c.opt.Absorbed = w, true
			e := tiny(t, c.threads, c.opt)
			var wait sync.WaitGroup
			for i, r := range rs {
				s, err := e.Submit(context.Background(), r)
				if err != nil {
					t.Fatal(err)
				}
				wait.Go(func() {
					if got := collect(t, s); !slices.Equal(got, want[i]) {
						t.Errorf("request %d: %v, alone %v", i, got, want[i])
					}
				})
			}
			wait.Wait()
		})
	}
}

// TestExplicitPrompt: long prompts are computed in the explicit form, in any chunks with the same bits.
func TestExplicitPrompt(t *testing.T) {
	r := Request{Prompt: prompt(1, 300), MaxTokens: 20, Sample: sample.Options{Logprobs: true}}
	var first []sample.Token
	for _, chunk := range []int{512, 100, 7} {
		e := tiny(t, 2, Options{Chunk: chunk})
		if n := e.packed.AbsorbedRows(); n > 300 {
			t.Fatalf("a prompt of 300 is absorbed: the limit is %d", n)
		}
		var got []sample.Token
		s, err := e.Submit(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		for tok := range s.Tokens() {
			got = append(got, tok.Token)
		}
		if first == nil {
			first = got
		}
		if !slices.EqualFunc(got, first, func(a, b sample.Token) bool { return a.ID == b.ID && a.Logprob == b.Logprob }) {
			t.Errorf("in chunks of %d: %v, whole %v", chunk, got, first)
		}
	}
}

func TestPrefixIsFound(t *testing.T) {
	e := tiny(t, 2, Options{})
	r := Request{Tenant: "a", Prompt: prompt(2, 200), MaxTokens: 8}
	first := generate(t, e, r)
	s, err := e.Submit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if again := collect(t, s); !slices.Equal(again, first) {
		t.Errorf("the second time %v, the first %v", again, first)
	}
	if got := s.Usage(); got != (Usage{Prompt: 200, Cached: 192, Generated: 8, Finish: Full}) {
		t.Errorf("%+v", got)
	}
	next := Request{Tenant: "a", Prompt: slices.Concat(r.Prompt, first, prompt(3, 5)), MaxTokens: 3}
	if s, err = e.Submit(context.Background(), next); err != nil {
		t.Fatal(err)
	}
	collect(t, s)
	if got := s.Usage().Cached; got != 207 { // all but the last token, which was never run
		t.Errorf("the conversation's next turn finds %d tokens", got)
	}
	next.Tenant = "b"
	if s, err = e.Submit(context.Background(), next); err != nil {
		t.Fatal(err)
	}
	collect(t, s)
	if got := s.Usage().Cached; got != 0 {
		t.Errorf("another tenant finds %d tokens", got)
	}
}

func TestCancel(t *testing.T) {
	e := tiny(t, 2, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := e.Submit(ctx, Request{Prompt: prompt(1, 3)})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Tokens() {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		if n++; n == 3 {
			cancel()
		}
	}
	if s.Usage().Finish != Cancelled {
		t.Errorf("%+v", s.Usage())
	}
	s, err = e.Submit(context.Background(), Request{Prompt: prompt(1, 3)})
	if err != nil {
		t.Fatal(err)
	}
	for range s.Tokens() {
		break
	}
	for start := time.Now(); s.Usage().Finish == ""; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("a stream whose reader has left goes on")
		}
	}
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	if _, err = e.Submit(ctx, Request{Prompt: prompt(1, 300)}); !errors.Is(err, context.Canceled) {
		t.Errorf("submitted after its end: %v", err)
	}
}

func TestCloseEndsStreams(t *testing.T) {
	e := tiny(t, 2, Options{Sequences: 2})
	var streams []*Stream
	for i := range 5 {
		s, err := e.Submit(context.Background(), Request{Prompt: prompt(i, 40)})
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	e.Close()
	for _, s := range streams {
		for _, err := range s.Tokens() {
			if err != nil && !errors.Is(err, errClosed) {
				t.Error(err)
			}
		}
		if f := s.Usage().Finish; f != Cancelled && f != Full {
			t.Errorf("%q", f)
		}
	}
	if _, err := e.Submit(context.Background(), Request{Prompt: prompt(1, 1)}); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	e := tiny(t, 1, Options{Waiting: 1, Sequences: 1, Cache: 256})
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{}, "empty"},
		{Request{Prompt: []int32{-1}}, "token id -1 at position 0"},
		{Request{Prompt: []int32{1, 96}}, "token id 96 at position 1"},
		{Request{Prompt: prompt(1, 512)}, "context holds"},
		{Request{Prompt: prompt(1, 300)}, "cache holds"},
		{Request{Prompt: prompt(1, 3), MaxTokens: -1}, "max_tokens"},
		{Request{Prompt: prompt(1, 3), Stop: []string{"x"}}, "tokenizer"},
		{Request{Prompt: prompt(1, 3), Sample: sample.Options{TopP: 7}}, "top-p"},
	} {
		if _, err := e.Submit(context.Background(), c.r); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%d tokens: %v, want one line with %q", len(c.r.Prompt), err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	busy := false
	for range 100 {
		_, err := e.Submit(ctx, Request{Prompt: prompt(1, 3)})
		busy = busy || errors.Is(err, ErrBusy)
	}
	if !busy {
		t.Error("a hundred requests may wait where one may")
	}
}

// noToken rules every token out, from the third on.
type noToken struct{ n int }

func (m *noToken) Allowed() ([]uint64, error) {
	if m.n++; m.n > 2 {
		return make([]uint64, 2), nil
	}
	return nil, nil
}
func (m *noToken) Accept(int32) {}

func TestOneFails(t *testing.T) {
	e := tiny(t, 2, Options{})
	good := Request{Prompt: prompt(4, 30), MaxTokens: 20}
	want := generate(t, e, good)
	s, err := e.Submit(context.Background(), Request{Prompt: prompt(1, 10), Sample: sample.Options{Mask: &noToken{}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := generate(t, e, good); !slices.Equal(got, want) {
		t.Errorf("%v beside one that fails, %v before", got, want)
	}
	var last error
	n := 0
	for _, err := range s.Tokens() {
		if last = err; err == nil {
			n++
		}
	}
	if !errors.Is(last, sample.ErrNoToken) || n != 2 || s.Usage().Finish != Failed {
		t.Errorf("%d tokens, then %v (%+v)", n, last, s.Usage())
	}
}

func TestStopIDs(t *testing.T) {
	e := tiny(t, 2, Options{})
	r := Request{Prompt: prompt(1, 9), MaxTokens: 30, Sample: sample.Options{Temperature: 1, Seed: 3}}
	all := generate(t, e, r)
	r.StopIDs = []int32{all[10]}
	if got := generate(t, e, r); !slices.Equal(got, all[:slices.Index(all, all[10])]) {
		t.Errorf("up to token %d: %v of %v", all[10], got, all)
	}
}

// TestDecodeAllocatesNothing: nor does a step that only generates.
func TestDecodeAllocatesNothing(t *testing.T) {
	e := tiny(t, 2, Options{})
	s, err := e.Submit(context.Background(), Request{Prompt: prompt(1, 9), MaxTokens: 400, Sample: sample.Options{Temperature: 0.7, TopP: 0.9}})
	if err != nil {
		t.Fatal(err)
	}
	next := func() {
		if _, ok, err := s.next(); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for range 70 {
		next()
	}
	if n := testing.AllocsPerRun(250, next); n >= 1 { // pages every 64 tokens are entered into the index: less than one a token
		t.Errorf("%v allocations a token", n)
	}
}

func TestUpdate(t *testing.T) {
	e := tiny(t, 2, Options{})
	r := Request{Tenant: "a", Prompt: prompt(2, 100), MaxTokens: 10}
	first := generate(t, e, r)
	if err := e.Update(Random(e.Config, F32)); err != nil {
		t.Fatal(err)
	}
	s, err := e.Submit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	busy, err := e.Submit(context.Background(), Request{Prompt: prompt(1, 3)})
	if err != nil {
		t.Fatal(err)
	}
	updated := make(chan error)
	go func() { updated <- e.Update(Random(e.Config, F32)) }()
	defer func() {
		busy.Cancel()
		e.Close()
		if err := <-updated; err != nil && !errors.Is(err, errClosed) {
			t.Error(err)
		}
	}()
	if second := collect(t, s); slices.Equal(first, second) || s.Usage().Cached != 0 {
		t.Errorf("after an update %v with %d tokens from the cache, before it %v", second, s.Usage().Cached, first)
	}
}

func TestDoesNotFit(t *testing.T) {
	cfg, err := config.Parse([]byte(`{"model_type":"deepseek_v3","vocab_size":129280,"hidden_size":7168,"num_hidden_layers":610,
		"num_attention_heads":128,"q_lora_rank":1536,"kv_lora_rank":512,"qk_nope_head_dim":128,"qk_rope_head_dim":64,"v_head_dim":128,
		"intermediate_size":18432,"moe_intermediate_size":2048,"n_routed_experts":256,"n_shared_experts":1,"num_experts_per_tok":8,"n_group":8,
		"topk_group":4,"first_k_dense_replace":3,"scoring_func":"sigmoid","topk_method":"noaux_tc","norm_topk_prob":true,"routed_scaling_factor":2.5}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := AvailableMemory(); !ok {
		t.Skip("this system doesn't say how much memory is free")
	}
	dev := cpu.New(1)
	defer dev.Close()
	_, err = Pack(cfg, dev, Int4, Random(cfg, Int4), 64)
	if err == nil || !strings.Contains(err.Error(), "memory") || strings.Contains(err.Error(), "\n") {
		t.Errorf("ten times V3: %v, want one line that says memory", err)
	}
}

// TestEnd: the token that ended a text isn't among its tokens, and is had apart, as training needs it.
func TestEnd(t *testing.T) {
	e := tiny(t, 2, Options{})
	r := Request{Prompt: prompt(1, 20), MaxTokens: 8, IgnoreEOS: true, Sample: sample.Options{Logprobs: true}}
	all := generate(t, e, r)
	r.StopIDs = []int32{all[5]}
	at := slices.Index(all, all[5])
	s, err := e.Submit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s); !slices.Equal(got, all[:at]) {
		t.Errorf("tokens %v, want %v", got, all[:at])
	}
	if end := s.End(); end.ID != all[at] || !(end.Logprob < 0) {
		t.Errorf("ended by %+v, want %d with its log probability", end, all[at])
	}
	r.StopIDs = nil
	if s, err = e.Submit(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if collect(t, s); s.End().ID != -1 {
		t.Errorf("ended by %+v at the limit", s.End())
	}
}

// TestExpertsOfPositions: what experts a position went to is told whatever the chunks and whoever else is served; of those found in the
// cache it is not known.
func TestExpertsOfPositions(t *testing.T) {
	r := Request{Prompt: prompt(2, 150), MaxTokens: 9, IgnoreEOS: true, Experts: true}
	var first [][]int32
	for _, chunk := range []int{512, 37} {
		e := tiny(t, 2, Options{Chunk: chunk, Absorbed: true})
		for _, other := range requests()[:4] {
			if _, err := e.Submit(context.Background(), other); err != nil {
				t.Fatal(err)
			}
		}
		for again := range 2 {
			s, err := e.Submit(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			collect(t, s)
			got, k := s.Experts(), e.Config.NumExpertsPerTok
			if first == nil {
				first = got
			}
			from := s.Usage().Cached * k
			if again == 1 && from == 0 {
				t.Error("the second time nothing was in the cache")
			}
			for i := range first {
				if len(got[i]) != (150+9-1)*k || slices.Max(got[i]) >= int32(e.Config.NRoutedExperts) || slices.Min(got[i][from:]) < 0 {
					t.Fatalf("mixture %d: experts %v", i, got[i])
				}
				if !slices.Equal(got[i][from:], first[i][from:]) || from > 0 && slices.Max(got[i][:from]) >= 0 {
					t.Errorf("mixture %d, chunk %d, %d positions cached: other experts", i, chunk, s.Usage().Cached)
				}
			}
		}
	}
}
