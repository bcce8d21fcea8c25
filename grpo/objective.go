package grpo

import (
	"fmt"
	"math"
)

// What a mean over tokens is taken over.
const (
	PerSample = "sample" // first over a sample's tokens, then over samples: (1/G) Σ 1/|o_i| Σ_t (DeepSeekMath, equation 3)
	PerToken  = "token"  // over all tokens of all samples (DAPO, section 3.3)
	Constant  = "limit"  // over samples, each sum divided by the limit of tokens, the same for all (Dr. GRPO, section 3.2)
)

// What a ratio is of.
const (
	TokenRatio    = "token"    // r_t = π(o_t)/π_old(o_t)
	SequenceRatio = "sequence" // s = (π(o)/π_old(o))^(1/|o|), one for a sample (GSPO, equation 7)
)

// Objective is what a step of GRPO minimizes (DeepSeek-R1, section 2.1; token by token as in DeepSeekMath, equation 3). For a question q, samples
// o_1 … o_G of π_old with rewards R_1 … R_G:
//
//	A_i   = (R_i − mean R) / std R                                the same for each token of o_i
//	L_i,t = −min(r A_i, clip(r, 1−ε_low, 1+ε_high) A_i) + β·k3    r = π(o_i,t)/π_old(o_i,t)
//	k3    = π_ref/π − log(π_ref/π) − 1                            an estimate of KL(π‖π_ref) that is never negative
//
// and the loss is the mean of L. The other values of Mean and Ratio, and the fields after KL, are later corrections, each from the paper
// that is named.
type Objective struct {
	Spread   bool    `toml:"spread"`    // divide advantages by the population's standard deviation; Dr. GRPO (section 3.1) doesn't
	Mean     string  `toml:"mean"`      // PerSample, PerToken or Constant
	Ratio    string  `toml:"ratio"`     // TokenRatio or SequenceRatio
	ClipLow  float64 `toml:"clip_low"`  // ε below 1
	ClipHigh float64 `toml:"clip_high"` // ε above 1; DAPO (section 3.1) has it larger
	KL       float64 `toml:"kl"`        // β

	UnbiasedKL bool    `toml:"unbiased_kl"` // k3 times the ratio, whose gradient is the KL's own (DeepSeek-V3.2, section 3.1)
	OffPolicy  float64 `toml:"off_policy"`  // samples with A < 0 and a mean log π_old/π over this teach nothing (V3.2, section 3.1); 0: none
}

// Check says what is wrong with o, if anything, by its keys in a run file.
func (o Objective) Check() error {
	switch {
	case o.Mean != PerSample && o.Mean != PerToken && o.Mean != Constant:
		return fmt.Errorf("rl.mean is %q: want %q, %q or %q", o.Mean, PerSample, PerToken, Constant)
	case o.Ratio != TokenRatio && o.Ratio != SequenceRatio:
		return fmt.Errorf("rl.ratio is %q: want %q or %q", o.Ratio, TokenRatio, SequenceRatio)
	case !(o.ClipLow > 0 && o.ClipLow <= 1):
		return fmt.Errorf("rl.clip_low is %g: want over 0 and at most 1", o.ClipLow)
	case !(o.ClipHigh > 0 && o.ClipHigh <= 100):
		return fmt.Errorf("rl.clip_high is %g: want over 0 and at most 100", o.ClipHigh)
	case !(o.KL >= 0 && o.KL <= 100):
		return fmt.Errorf("rl.kl is %g: want 0 to 100", o.KL)
	case !(o.OffPolicy >= 0 && o.OffPolicy <= 100):
		return fmt.Errorf("rl.off_policy is %g: want 0 to 100", o.OffPolicy)
	}
	return nil
}

// Advantages are those of a group's samples by their rewards. They add up to 0, and are 0 where all rewards are the same.
func (o Objective) Advantages(rewards []float64) []float64 {
	a := make([]float64, len(rewards))
	mean := 0.0
	for _, r := range rewards {
		mean += r / float64(len(rewards))
	}
	variance := 0.0
	for i, r := range rewards {
		if rewards[0] != r {
			variance = 1 // they differ: rounding of the mean doesn't count
		}
		a[i] = r - mean
	}
	if variance == 0 {
		clear(a)
		return a
	}
	if !o.Spread {
		return a
	}
	variance = 0
	for _, d := range a {
		variance += d * d / float64(len(a))
	}
	for i := range a {
		a[i] /= math.Sqrt(variance)
	}
	return a
}

// Sample is what the objective needs of one: log π of its tokens, in nats.
type Sample struct {
	Advantage float64
	New, Old  []float32 // of the model that moves, and of what it was when the sample was drawn
	Ref       []float32 // of the reference; nil where there is none: the KL is 0 then
}

// Whole is what a step's mean is over.
type Whole struct {
	Samples, Tokens, Limit int
}

// share is the weight of each token of a sample of n tokens.
func (o Objective) share(w Whole, n int) float64 {
	switch o.Mean {
	case PerToken:
		return 1 / float64(w.Tokens)
	case Constant:
		return 1 / (float64(w.Samples) * float64(w.Limit))
	}
	return 1 / (float64(w.Samples) * float64(n))
}

// Terms are sums of what a sample contributes.
type Terms struct {
	Loss    float64 // to the mean
	KL      float64 // Σ k3 over tokens
	NLL     float64 // Σ −log π over tokens: of samples of π itself an estimate of its entropy
	Clipped int     // tokens whose gradient the clip takes away
	Masked  int     // samples that OffPolicy leaves out
	Tokens  int
}

// Plus adds them up.
func (t *Terms) Plus(u Terms) {
	t.Loss += u.Loss
	t.KL += u.KL
	t.NLL += u.NLL
	t.Clipped += u.Clipped
	t.Masked += u.Masked
	t.Tokens += u.Tokens
}

// Loss returns what s contributes to the loss of the whole, and sets slope to its derivative by each log π of New.
func (o Objective) Loss(s Sample, w Whole, slope []float64) Terms {
	n := len(s.New)
	t := Terms{Tokens: n}
	if n == 0 {
		return t
	}
	share, apart := o.share(w, n), 0.0 // apart: mean log π/π_old
	for i := range s.New {
		apart += (float64(s.New[i]) - float64(s.Old[i])) / float64(n)
		t.NLL -= float64(s.New[i])
	}
	masked := o.OffPolicy > 0 && s.Advantage < 0 && -apart > o.OffPolicy
	if masked {
		t.Masked = 1
	}
	for i := range s.New {
		d := float64(s.New[i]) - float64(s.Old[i])
		if o.Ratio == SequenceRatio {
			d = apart // each token has the same share in it: the sum over tokens of d s / d log π is s, as it should be
		}
		r := math.Exp(d)
		slope[i] = 0
		if !masked {
			loss, dr := o.surrogate(r, s.Advantage)
			t.Loss += share * loss
			slope[i] = share * dr * r
			if dr == 0 && s.Advantage != 0 {
				t.Clipped++
			}
		}
		if s.Ref == nil {
			continue
		}
		toRef := float64(s.Ref[i]) - float64(s.New[i])
		k3 := math.Expm1(toRef) - toRef
		t.KL += k3
		if o.UnbiasedKL {
			r = math.Exp(float64(s.New[i]) - float64(s.Old[i]))
			t.Loss += share * o.KL * r * k3
			slope[i] -= share * o.KL * r * toRef
			continue
		}
		t.Loss += share * o.KL * k3
		slope[i] -= share * o.KL * math.Expm1(toRef)
	}
	return t
}

// surrogate is −min(r A, clip(r) A), and its derivative by r.
func (o Objective) surrogate(r, advantage float64) (loss, slope float64) {
	clipped := min(max(r, 1-o.ClipLow), 1+o.ClipHigh)
	if clipped*advantage < r*advantage {
		return -clipped * advantage, 0
	}
	return -r * advantage, -advantage
}
