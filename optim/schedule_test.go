package optim

import (
	"math"
	"testing"
)

// V3's own numbers (its report, section 4.2) at its token counts, in trillions.
func TestScheduleOfV3(t *testing.T) {
	s := V3(2.2e-4)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tokens               float64
		lr, bias, mtp, batch float64 // batch in rows of 15360
	}{
		{0, 0, 0.001, 0.3, 3072},
		{0.2345, 2.2e-4 * 0.2345 / 14.8 / 0.02, 0.001, 0.3, 9216},
		{0.469, 2.2e-4, 0.001, 0.3, 15360},
		{9.99, 2.2e-4, 0.001, 0.3, 15360},
		{10.01, 2.2e-4, 0.001, 0.1, 15360},
		{12.15, (2.2e-4 + 2.2e-5) / 2, 0.001, 0.1, 15360},
		{14.29, 2.2e-5, 0.001, 0.1, 15360},
		{14.31, 2.2e-5, 0, 0.1, 15360},
		{14.63, 2.2e-5, 0, 0.1, 15360},
		{14.64, 7.3e-6, 0, 0.1, 15360},
		{14.8, 7.3e-6, 0, 0.1, 15360},
	} {
		r := s.At(c.tokens / 14.8)
		if math.Abs(r.LR-c.lr) > 2e-4*c.lr { // the cosine is flat, but not constant, 10 B tokens from its ends
			t.Errorf("%g T tokens: learning rate %g, want %g", c.tokens, r.LR, c.lr)
		}
		if r.BiasSpeed != c.bias || r.MTPWeight != c.mtp || r.Rows(15360) != int(c.batch) {
			t.Errorf("%g T tokens: %+v (%d rows), want %+v", c.tokens, r, r.Rows(15360), c)
		}
	}
}

// The learning rate rises to the peak and never again; the batch never shrinks; neither jumps but for the last phase.
func TestScheduleIsMonotone(t *testing.T) {
	s := V3(1)
	const n = 20000
	last := s.At(0)
	for i := 1; i <= n; i++ {
		f := float64(i) / n
		r := s.At(f)
		if rising := f <= s.Warmup; rising != (r.LR > last.LR) && r.LR != last.LR {
			t.Fatalf("at %g the rate goes from %g to %g", f, last.LR, r.LR)
		}
		if r.BatchShare < last.BatchShare || r.BatchShare > 1 {
			t.Fatalf("at %g the batch goes from %g to %g", f, last.BatchShare, r.BatchShare)
		}
		if jump := math.Abs(r.LR - last.LR); jump > 0.01 && f < s.LastFrom {
			t.Fatalf("at %g the rate jumps from %g to %g", f, last.LR, r.LR)
		}
		last = r
	}
}

func TestScheduleOfConstants(t *testing.T) {
	s := Schedule{LR: 1e-3, DecayFrom: 1, DecayTo: 1, LastFrom: 1, BatchFrom: 1, BiasSpeed: 0.01, BiasUntil: 1, MTPWeight: 0.3, MTPFrom: 1}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []float64{0, 0.5, 0.999} {
		if got, want := s.At(f), (Rates{1e-3, 0.01, 0.3, 1}); got != want {
			t.Errorf("at %g: %+v, want %+v", f, got, want)
		}
	}
}

func TestScheduleValidate(t *testing.T) {
	for name, spoil := range map[string]func(*Schedule){
		"negative rate":         func(s *Schedule) { s.LR = -1 },
		"rate is NaN":           func(s *Schedule) { s.LR = math.NaN() },
		"rate is infinite":      func(s *Schedule) { s.LR = math.Inf(1) },
		"floor over the peak":   func(s *Schedule) { s.Floor = 2 },
		"last over the peak":    func(s *Schedule) { s.Last = 2 },
		"warm-up into decay":    func(s *Schedule) { s.Warmup = 0.9 },
		"decay ends first":      func(s *Schedule) { s.DecayTo = 0.5 },
		"last before the floor": func(s *Schedule) { s.LastFrom = 0.9 },
		"after the end":         func(s *Schedule) { s.LastFrom = 1.1 },
		"no batch":              func(s *Schedule) { s.BatchFrom = 0 },
		"batch too large":       func(s *Schedule) { s.BatchFrom = 2 },
		"ramp":                  func(s *Schedule) { s.BatchRamp = math.NaN() },
		"weight":                func(s *Schedule) { s.MTPWeight = -0.1 },
		"bias":                  func(s *Schedule) { s.BiasSpeed = 7 },
	} {
		s := V3(1)
		if spoil(&s); s.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRowsAreAtLeastOne(t *testing.T) {
	if got := (Rates{BatchShare: 0.01}).Rows(8); got != 1 {
		t.Errorf("%d rows", got)
	}
}
