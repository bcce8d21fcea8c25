package sample

import (
	"math"
	"math/rand/v2"
	"testing"
)

// timed are the cases that are timed and whose allocations are counted.
var timed = []struct {
	name string
	opt  Options
}{
	{"greedy", Options{}},
	{"rollout", Options{Temperature: 1, Logprobs: true}},
	{"T=1", Options{Temperature: 1}},
	{"top-p", Options{Temperature: 0.7, TopP: 0.95}},
	{"top-k", Options{Temperature: 0.7, TopK: 40}},
	{"min-p", Options{Temperature: 0.7, MinP: 0.05}},
	{"mask", Options{Temperature: 0.7, TopP: 0.95, Mask: evenMask(1 << 20)}},
	{"all", Options{
		Temperature: 0.7, TopK: 40, TopP: 0.95, MinP: 0.01, RepetitionPenalty: 1.1, FrequencyPenalty: 0.1, PresencePenalty: 0.1,
		LogitBias: map[int32]float32{1: 1, 2: -100}, Logprobs: true, TopLogprobs: 20,
	}},
}

// flat and peaked are logits as of a model with random weights, and as of a trained one: most of the probability on a few tokens.
func flat(rng *rand.Rand, vocab int) []float32 {
	x := make([]float32, vocab)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * 0.5)
	}
	return x
}

func peaked(rng *rand.Rand, vocab int) []float32 {
	x := make([]float32, vocab)
	for i, at := range rng.Perm(vocab) {
		x[at] = float32(-1.5*math.Log(float64(i)+1) + rng.NormFloat64())
	}
	return x
}

func TestAllocations(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 13))
	logits, x := peaked(rng, 4000), make([]float32, 4000)
	for _, c := range timed {
		s, err := New(c.opt, len(x), []int32{1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		next := func() {
			copy(x, logits)
			if _, err := s.Next(x); err != nil {
				t.Fatal(err)
			}
		}
		for range 200 {
			next()
		}
		want := 0.0
		if c.opt.TopLogprobs > 0 {
			want = 1 // Token.Top
		}
		if n := testing.AllocsPerRun(200, next); n != want {
			t.Errorf("%s: %v allocations a token, want %v", c.name, n, want)
		}
	}
}

// everyOther is a Mask of every other token, for which nothing but bit by bit does.
type everyOther []uint64

func evenMask(vocab int) everyOther {
	set := make(everyOther, (vocab+63)/64)
	for w := range set {
		set[w] = 0x5555555555555555
	}
	return set
}

func (m everyOther) Allowed() ([]uint64, error) { return m, nil }
func (m everyOther) Accept(id int32)            {}

func BenchmarkNext(b *testing.B) {
	for _, shape := range []struct {
		name string
		make func(*rand.Rand, int) []float32
	}{{"peaked", peaked}, {"flat", flat}} {
		for _, c := range timed {
			for _, vocab := range []int{32768, 129280} {
				b.Run(c.name+"/"+shape.name+"/"+map[int]string{32768: "32k", 129280: "129k"}[vocab], func(b *testing.B) {
					rng := rand.New(rand.NewPCG(12, 13))
					logits, x := shape.make(rng, vocab), make([]float32, vocab)
					prompt := make([]int32, 1000)
					for i := range prompt {
						prompt[i] = int32(rng.IntN(vocab))
					}
					s, err := New(c.opt, vocab, prompt)
					if err != nil {
						b.Fatal(err)
					}
					for b.Loop() {
						copy(x, logits)
						if _, err := s.Next(x); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkFloor is what every BenchmarkNext spends on having logits anew: it writes and reads them once.
func BenchmarkFloor(b *testing.B) {
	logits, x := flat(rand.New(rand.NewPCG(1, 1)), 32768), make([]float32, 32768)
	for b.Loop() {
		copy(x, logits)
	}
}
