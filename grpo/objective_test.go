package grpo

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// gold are values of an independent implementation: testdata/gold/README.md.
type gold struct {
	Advantages []struct {
		Rewards, Advantages []float64
		Std                 string
	}
	Batches map[string]struct {
		Groups []struct {
			Rewards []float64
			Samples []struct{ New, Old, Ref []float32 }
		}
	}
	Cases []struct {
		Name, Batch string
		Options     struct {
			Std, Aggregate, Ratio, KL string
			Constant                  int
			ClipLow                   float64 `json:"clip_low"`
			ClipHigh                  float64 `json:"clip_high"`
			Beta                      float64
			OffPolicy                 float64 `json:"off_policy"`
			Overlong                  *struct{ Max, Cache int }
		}
		Loss, KL  float64
		ClipShare float64 `json:"clip_share"`
		Rewards   [][]float64
		Gradient  [][][]float64
	}
}

func openGold(t *testing.T) (g gold) {
	t.Helper()
	text, err := os.ReadFile("../testdata/gold/grpo.json")
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Tolerances are those of 13 printed digits.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-11*max(1, math.Abs(want)) }

func TestGoldAdvantages(t *testing.T) {
	for _, c := range openGold(t).Advantages {
		if c.Std == "sample" {
			continue // torch's default, which no paper asks for
		}
		for i, a := range (Objective{Spread: c.Std == "population"}).Advantages(c.Rewards) {
			if !near(a, c.Advantages[i]) {
				t.Errorf("%s: advantage %d is %v, want %v", c.Std, i, a, c.Advantages[i])
			}
		}
	}
}

// TestGold compares every option with torch: loss, KL, clipped share, and the derivative by each log probability.
func TestGold(t *testing.T) {
	g := openGold(t)
	compared := 0
	for _, c := range g.Cases {
		mean, ok := map[string]string{"sequence": PerSample, "token_batch": PerToken, "constant": Constant}[c.Options.Aggregate]
		if !ok || c.Options.Std == "sample" {
			continue
		}
		compared++
		o := Objective{Spread: c.Options.Std == "population", Mean: mean, Ratio: c.Options.Ratio, ClipLow: c.Options.ClipLow,
			ClipHigh: c.Options.ClipHigh, KL: c.Options.Beta, UnbiasedKL: c.Options.KL == "unbiased", OffPolicy: c.Options.OffPolicy}
		whole := Whole{Limit: c.Options.Constant}
		groups := g.Batches[c.Batch].Groups
		for _, group := range groups {
			for _, s := range group.Samples {
				whole.Samples++
				whole.Tokens += len(s.New)
			}
		}
		var sum Terms
		for i, group := range groups {
			rewards := slices.Clone(group.Rewards)
			for j, s := range group.Samples {
				if l := c.Options.Overlong; l != nil {
					rewards[j] += overlong(len(s.New), l.Max, l.Cache)
				}
				if !near(rewards[j], c.Rewards[i][j]) {
					t.Errorf("%s: reward %v, want %v", c.Name, rewards[j], c.Rewards[i][j])
				}
			}
			for j, a := range o.Advantages(rewards) {
				s := group.Samples[j]
				slope := make([]float64, len(s.New))
				sum.Plus(o.Loss(Sample{Advantage: a, New: s.New, Old: s.Old, Ref: s.Ref}, whole, slope))
				for k, d := range slope {
					if !near(d, c.Gradient[i][j][k]) {
						t.Errorf("%s: group %d, sample %d, token %d: slope %v, want %v", c.Name, i, j, k, d, c.Gradient[i][j][k])
					}
				}
			}
		}
		tokens := float64(sum.Tokens)
		if !near(sum.Loss, c.Loss) || !near(sum.KL/tokens, c.KL) || !near(float64(sum.Clipped)/tokens, c.ClipShare) {
			t.Errorf("%s: loss %v, KL %v, clipped %v; want %v, %v, %v", c.Name,
				sum.Loss, sum.KL/tokens, float64(sum.Clipped)/tokens, c.Loss, c.KL, c.ClipShare)
		}
	}
	if compared < 13 {
		t.Errorf("only %d cases were compared", compared)
	}
}

func TestAdvantagesAddUpToNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, o := range []Objective{{}, {Spread: true}} {
		for range 100 {
			r := make([]float64, 1+rng.IntN(20))
			for i := range r {
				r[i] = float64(rng.IntN(3)) / 3 // of which no float64 is exact
			}
			sum, largest := 0.0, 0.0
			for _, a := range o.Advantages(r) {
				sum += a
				largest = max(largest, math.Abs(a))
			}
			if math.Abs(sum) > 1e-12 {
				t.Errorf("%v: advantages add up to %v", r, sum)
			}
			if alike := slices.Max(r) == slices.Min(r); alike != (largest == 0) {
				t.Errorf("%v: the largest advantage is %v", r, largest)
			}
		}
	}
}

// plain is an objective without corrections.
func plain() Objective {
	return Objective{Spread: true, Mean: PerSample, Ratio: TokenRatio, ClipLow: 0.2, ClipHigh: 0.2}
}

// TestNothingToLearn: where all rewards of a group agree there is no gradient at all, whatever the options.
func TestNothingToLearn(t *testing.T) {
	for _, o := range []Objective{plain(), {Mean: PerToken, Ratio: SequenceRatio, ClipLow: 0.1, ClipHigh: 0.3, OffPolicy: 0.1}, {Mean: Constant, Ratio: TokenRatio}} {
		for _, reward := range []float64{0, 0.1, 1} {
			slope := make([]float64, 2)
			for _, a := range o.Advantages([]float64{reward, reward, reward}) {
				s := Sample{Advantage: a, New: []float32{-1, -2}, Old: []float32{-1.5, -1}}
				if terms := o.Loss(s, Whole{3, 6, 4}, slope); terms.Loss != 0 || slope[0] != 0 || slope[1] != 0 {
					t.Errorf("%+v, all rewards %v: loss %v, slopes %v", o, reward, terms.Loss, slope)
				}
			}
		}
	}
}

// bandit is a policy of three arms, of which the last is right, that a step of GRPO moves: softmax of logits. It returns the right
// arm's probability after so many steps. sign −1 goes the wrong way.
func bandit(o Objective, sign float64, steps int) float64 {
	rng := rand.New(rand.NewPCG(3, 3))
	logits := []float64{0, 0, 0}
	policy := func() (p []float64) {
		sum := 0.0
		for _, l := range logits {
			sum += math.Exp(l)
		}
		for _, l := range logits {
			p = append(p, math.Exp(l)/sum)
		}
		return p
	}
	for range steps {
		const samples = 8
		p := policy()
		arms, rewards := make([]int, samples), make([]float64, samples)
		for i := range arms {
			x := rng.Float64()
			for arms[i] = 0; arms[i] < 2 && x >= p[arms[i]]; arms[i]++ {
				x -= p[arms[i]]
			}
			if arms[i] == 2 {
				rewards[i] = 1
			}
		}
		move := make([]float64, 3)
		slope := make([]float64, 1)
		for i, a := range o.Advantages(rewards) {
			lp := []float32{float32(math.Log(p[arms[i]]))}
			o.Loss(Sample{Advantage: a, New: lp, Old: lp}, Whole{samples, samples, 1}, slope)
			for k := range move { // d log p(arm) / d logit k = [k = arm] − p_k
				d := -p[k]
				if k == arms[i] {
					d++
				}
				move[k] += slope[0] * d
			}
		}
		for k := range logits {
			logits[k] -= sign * 0.3 * move[k]
		}
	}
	return policy()[2]
}

func TestBanditConverges(t *testing.T) {
	for name, change := range map[string]func(*Objective){
		"GRPO":     func(*Objective) {},
		"Dr. GRPO": func(o *Objective) { o.Spread, o.Mean = false, Constant },
		"DAPO":     func(o *Objective) { o.Mean, o.ClipHigh = PerToken, 0.28 },
		"GSPO":     func(o *Objective) { o.Ratio = SequenceRatio },
	} {
		o := plain()
		change(&o)
		if p := bandit(o, 1, 200); p < 0.9 {
			t.Errorf("%s: after 200 steps the right arm has %.2f", name, p)
		}
		if p := bandit(o, -1, 200); p > 0.1 {
			t.Errorf("%s, the sign flipped: after 200 steps the right arm has %.2f", name, p)
		}
	}
}
