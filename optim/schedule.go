package optim

import (
	"errors"
	"fmt"
	"math"
)

// Schedule says how a run's settings move, as functions of f, the share of its tokens seen, so that a long run is a short one
// drawn out (V3 report, section 4.2):
//
//	learning rate   0 ─ LR ────────── LR ─ half a cosine ─ Floor ── Floor ─ Last
//	                  Warmup          DecayFrom            DecayTo          LastFrom
//	batch           BatchFrom ─ linear in tokens ─ 1 ─────────────────────────────
//	                                               BatchRamp
type Schedule struct {
	LR, Floor, Last              float64 // learning rates: the peak, after the decay, and at the very end
	Warmup                       float64 // here LR is reached
	DecayFrom, DecayTo, LastFrom float64 // LastFrom 1: Last has no part in it
	BatchFrom, BatchRamp         float64 // share of the full batch at first; where the batch is full
	BiasSpeed, BiasUntil         float64 // of the gates' biases; 0 from BiasUntil on
	MTPWeight, MTPLate, MTPFrom  float64 // λ of multi-token prediction, and its value from MTPFrom on
}

// V3 is the schedule of V3's 14.8 T tokens for another peak of the learning rate (its own was 2.2e-4), but for the warm-up.
// V3's 2000 steps are 0.2 % of its tokens, which of a run of a thousand steps would be two. AdamW's second moment looks back
// over 1/(1-β2) = 20 steps and should have seen as many before the rate is at its peak: 2 % gives a thousand steps that.
func V3(lr float64) Schedule {
	const total = 14.8 // T
	return Schedule{
		LR: lr, Floor: lr / 10, Last: lr * 7.3e-6 / 2.2e-4,
		Warmup:    0.02,
		DecayFrom: 10 / total, DecayTo: 14.3 / total, LastFrom: (14.3 + 0.333) / total,
		BatchFrom: 3072. / 15360, BatchRamp: 0.469 / total,
		BiasSpeed: 0.001, BiasUntil: 14.3 / total,
		MTPWeight: 0.3, MTPLate: 0.1, MTPFrom: 10 / total,
	}
}

// Validate says what is wrong with s, if anything.
func (s Schedule) Validate() error {
	for _, v := range []struct {
		name  string
		value float64
		max   float64
	}{
		{"the learning rate", s.LR, math.MaxFloat32}, {"the floor of the learning rate", s.Floor, s.LR},
		{"the last learning rate", s.Last, s.LR},
		{"the warm-up's share", s.Warmup, 1}, {"the decay's start", s.DecayFrom, 1}, {"the decay's end", s.DecayTo, 1},
		{"the last phase's start", s.LastFrom, 1}, {"the first batch's share", s.BatchFrom, 1}, {"the batch ramp's share", s.BatchRamp, 1},
		{"the bias speed", s.BiasSpeed, 1}, {"the bias's end", s.BiasUntil, 1},
		{"the weight of multi-token prediction", s.MTPWeight, math.MaxFloat32},
		{"the late weight of multi-token prediction", s.MTPLate, math.MaxFloat32}, {"its start", s.MTPFrom, 1},
	} {
		if !(v.value >= 0 && v.value <= v.max) {
			return fmt.Errorf("schedule: %s is %g: want 0 to %g", v.name, v.value, v.max)
		}
	}
	if s.BatchFrom == 0 {
		return errors.New("schedule: the first batch's share is 0: want more, 1 for a batch that does not grow")
	}
	if s.Warmup > s.DecayFrom || s.DecayFrom > s.DecayTo || s.DecayTo > s.LastFrom {
		return fmt.Errorf("schedule: warm-up to %g, decay from %g to %g, last phase from %g: want them in this order",
			s.Warmup, s.DecayFrom, s.DecayTo, s.LastFrom)
	}
	return nil
}

// Rates are a schedule's settings for one step.
type Rates struct {
	LR         float64
	BiasSpeed  float64
	MTPWeight  float64
	BatchShare float64 // of the full batch
}

// At returns the settings for a step that starts when the share f in [0, 1] of the run's tokens has been seen. With a warm-up
// the first step's learning rate is 0: it fills the moments alone.
func (s Schedule) At(f float64) Rates {
	r := Rates{LR: s.rate(f), MTPWeight: s.MTPWeight, BatchShare: 1}
	if f < s.BiasUntil {
		r.BiasSpeed = s.BiasSpeed
	}
	if f >= s.MTPFrom {
		r.MTPWeight = s.MTPLate
	}
	if f < s.BatchRamp {
		r.BatchShare = s.BatchFrom + (1-s.BatchFrom)*f/s.BatchRamp
	}
	return r
}

func (s Schedule) rate(f float64) float64 {
	switch {
	case f < s.Warmup:
		return s.LR * f / s.Warmup
	case f < s.DecayFrom:
		return s.LR
	case f < s.DecayTo:
		t := (f - s.DecayFrom) / (s.DecayTo - s.DecayFrom)
		return s.Floor + (s.LR-s.Floor)*0.5*(1+math.Cos(math.Pi*t))
	case f < s.LastFrom || s.LastFrom == 1:
		return s.Floor
	}
	return s.Last
}

// Rows is the batch of a step in rows, of a full batch of full rows.
func (r Rates) Rows(full int) int { return max(1, int(math.Round(r.BatchShare*float64(full)))) }
