package sample

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Log probabilities are the model's own, whatever the options do to the choice.
func TestLogprobs(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	for range 400 {
		vocab := 1 + rng.IntN(300)
		o, logits := randomOptions(rng, vocab), randomLogits(rng, vocab)
		o.Logprobs, o.TopLogprobs = true, rng.IntN(MaxTop+1)
		if rng.IntN(4) == 0 { // as rollouts have it
			o = Options{Temperature: 1, TopK: o.TopK, TopP: o.TopP, Logprobs: true, TopLogprobs: o.TopLogprobs}
		}
		if rng.IntN(4) == 0 {
			m := &fixedMask{set: make([]uint64, 5)}
			best := sorted(logits)[0]
			m.set[best/64] |= 1 << (best % 64)
			m.set[0] |= 1
			o.Mask = m
		}
		s, err := New(o, vocab, []int32{0})
		if err != nil {
			t.Fatal(err)
		}
		for range rng.IntN(3) {
			s.Accept(int32(rng.IntN(vocab)))
		}
		p, _ := reference(Options{Temperature: 1}, logits, nil, nil)
		token, err := s.Next(slices.Clone(logits))
		if err != nil {
			t.Fatal(err)
		}
		near := func(l Likely) {
			if want := math.Log(p[l.ID]); math.Abs(float64(l.Logprob)-want) > 2e-6*(10+math.Abs(want)) && p[l.ID] > 1e-300 {
				t.Errorf("token %d has %v, want %v", l.ID, l.Logprob, want)
			}
		}
		near(Likely{token.ID, token.Logprob})
		if len(token.Top) != min(o.TopLogprobs, vocab) {
			t.Fatalf("%d most likely, want %d", len(token.Top), o.TopLogprobs)
		}
		order := sorted(logits)
		for i, l := range token.Top {
			if near(l); l.ID != order[i] {
				t.Errorf("the %d-th most likely is %d, want %d", i, l.ID, order[i])
			}
		}
	}
}

// Tokens may be kept: the next one changes nothing of the last.
func TestTopIsTheTokensOwn(t *testing.T) {
	s, err := New(Options{Logprobs: true, TopLogprobs: 2}, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Next([]float32{3, 2, 1})
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Clone(first.Top)
	if _, err := s.Next([]float32{1, 2, 3}); err != nil || !slices.Equal(first.Top, kept) {
		t.Errorf("%v became %v, %v", kept, first.Top, err)
	}
}

func TestForcedTokensHaveLogprobs(t *testing.T) {
	o := Options{Temperature: 1, Logprobs: true, Thinking: Thinking{Begin: 0, End: 1, Close: []int32{1}, Budget: 1}}
	s, err := New(o, 3, []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	half, quarter := float32(math.Log(0.5)), float32(math.Log(0.25))
	if _, err := s.Next([]float32{-1000, -1000, 0}); err != nil {
		t.Fatal(err)
	}
	token, err := s.Next([]float32{half + 5, quarter + 5, quarter + 5})
	if err != nil || !token.Forced || math.Abs(float64(token.Logprob-quarter)) > 1e-6 {
		t.Errorf("%+v, %v, want a forced one with %v", token, err, quarter)
	}
}

// fixedMask allows a set of tokens, and keeps what came.
type fixedMask struct {
	set []uint64
	err error
	ids []int32
}

func (m *fixedMask) Allowed() ([]uint64, error) { return m.set, m.err }
func (m *fixedMask) Accept(id int32)            { m.ids = append(m.ids, id) }

func TestMask(t *testing.T) {
	const vocab = 150
	rng := rand.New(rand.NewPCG(8, 9))
	for _, o := range []Options{{}, {Temperature: 1}, {Temperature: 1, TopK: 5}, {Temperature: 2, TopP: 0.9}} {
		m := &fixedMask{set: []uint64{1 << 7, math.MaxUint64, 1 << 21}} // 7, 64 … 127, 149
		o.Mask = m
		s, err := New(o, vocab, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []int32
		for range 300 {
			logits := make([]float32, vocab)
			for i := range logits {
				logits[i] = float32(rng.NormFloat64())
			}
			logits[8] = 10
			token, err := s.Next(logits)
			if err != nil {
				t.Fatal(err)
			}
			if id := token.ID; m.set[id/64]>>(id%64)&1 == 0 {
				t.Fatalf("%+v: token %d is not allowed", o, id)
			}
			got = append(got, token.ID)
		}
		if !slices.Equal(m.ids, got) {
			t.Errorf("the mask was told %v, not %v", m.ids, got)
		}
		m.set = make([]uint64, 3)
		if _, err := s.Next(make([]float32, vocab)); !errors.Is(err, ErrNoToken) {
			t.Errorf("%+v: nothing allowed: %v", o, err)
		}
		m.set = nil
		if _, err := s.Next(make([]float32, vocab)); err != nil {
			t.Errorf("no mask: %v", err)
		}
		m.set = make([]uint64, 2)
		if _, err := s.Next(make([]float32, vocab)); err == nil {
			t.Error("a mask that is too short: no error")
		}
		m.err = errors.New("no such rule")
		if _, err := s.Next(make([]float32, vocab)); !errors.Is(err, m.err) {
			t.Errorf("the mask's own error: %v", err)
		}
	}
}
