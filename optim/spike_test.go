package optim

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

// falling is the loss and gradient norm of an ordinary run: fast at first, then slow, with noise.
func falling(rng *rand.Rand, step int) (loss, norm float64) {
	return 2 + 7*math.Exp(-float64(step)/60) + 0.05*rng.NormFloat64(), (0.3 + 3*math.Exp(-float64(step)/40)) * math.Exp(0.2*rng.NormFloat64())
}

func TestSpikeLetsAnOrdinaryRunPass(t *testing.T) {
	for seed := range uint64(20) {
		var s Spike
		rng := rand.New(rand.NewPCG(seed, 1))
		for step := range 3000 {
			if loss, norm := falling(rng, step); s.Observe(loss, norm) != OK {
				t.Fatalf("seed %d, step %d: loss %.3f, norm %.3f after %+v", seed, step, loss, norm, s)
			}
		}
	}
}

func TestSpikeSeesSpikes(t *testing.T) {
	for name, bad := range map[string]func(loss, norm float64) (float64, float64){
		"a nat of loss":      func(loss, norm float64) (float64, float64) { return loss + 1, norm },
		"30 times the norm":  func(loss, norm float64) (float64, float64) { return loss, 30 * norm },
		"loss is NaN":        func(_, norm float64) (float64, float64) { return math.NaN(), norm },
		"norm is NaN":        func(loss, _ float64) (float64, float64) { return loss, math.NaN() },
		"norm is infinite":   func(loss, _ float64) (float64, float64) { return loss, math.Inf(1) },
		"loss is infinite":   func(_, norm float64) (float64, float64) { return math.Inf(1), norm },
		"loss is minus inf.": func(_, norm float64) (float64, float64) { return math.Inf(-1), norm },
	} {
		var s Spike
		rng := rand.New(rand.NewPCG(3, 1))
		for step := range 500 {
			loss, norm := falling(rng, step)
			s.Observe(loss, norm)
		}
		before := s
		for i := 1; i <= spikePatience; i++ {
			want := Skip
			if i == spikePatience {
				want = Rollback
			}
			if got := s.Observe(bad(falling(rng, 500))); got != want {
				t.Errorf("%s, bad step %d: verdict %d, want %d", name, i, got, want)
			}
		}
		if s.Loss != before.Loss || s.Norm != before.Norm {
			t.Errorf("%s: bad steps moved the means", name)
		}
		if got := s.Observe(falling(rng, 500)); got != OK || s.Bad != 0 {
			t.Errorf("%s: an ordinary step afterwards is %d", name, got)
		}
	}
}

// Before there is anything to compare with, only what is not finite is bad.
func TestSpikeAtTheStart(t *testing.T) {
	var s Spike
	for _, loss := range []float64{5, 50, 1, 70} {
		if s.Observe(loss, 0) != OK {
			t.Errorf("loss %g is bad", loss)
		}
	}
	if s.Observe(math.NaN(), 1) != Skip {
		t.Error("NaN is fine")
	}
}

func TestSpikeStateGoesOn(t *testing.T) {
	var a Spike
	rng := rand.New(rand.NewPCG(3, 1))
	for step := range 100 {
		a.Observe(falling(rng, step))
	}
	a.Observe(math.NaN(), 1)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var b Spike
	if err := json.Unmarshal(text, &b); err != nil || a != b {
		t.Errorf("%+v became %+v (%v)", a, b, err)
	}
}
