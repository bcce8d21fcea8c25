package optim

import "math"

// Verdict says what to do with a step before its gradient is applied.
type Verdict int

const (
	OK       Verdict = iota
	Skip             // leave the weights as they are
	Rollback         // go back to an earlier checkpoint: Patience steps in a row were to be skipped
)

// Spike watches the loss and the gradient's norm for what is far above their recent course. All fields are its state, which a
// checkpoint holds; the zero Spike is ready.
type Spike struct {
	Loss, Norm Course // of the loss, and of the norm's logarithm
	Bad        int    // steps in a row that were not OK
}

// Course is where a number has been lately: its moving mean, and its mean distance from that.
type Course struct {
	Mean, Deviation float64
	Seen            int
}

const (
	spikeMemory   = 50   // steps that the means look back over; before as many have been seen, only what is not finite is bad
	spikeLimit    = 8    // deviations above the mean; of a normal number that is 6.4 σ, one in ten billion
	spikeLeast    = 0.01 // of a deviation, in nats: below that all is calm
	spikePatience = 5    // bad steps in a row until a rollback
)

// Observe takes a step's loss and gradient norm. A bad step leaves no trace in the means. After a rollback the trainer restores
// the Spike of the checkpoint, as all other state, and had better pass over the rows that led there.
func (s *Spike) Observe(loss, norm float64) Verdict {
	size := math.Log(norm)
	if norm == 0 {
		size = s.Norm.Mean // nothing to learn, and nothing wrong
	}
	if !finite(loss) || !finite(size) || s.Loss.above(loss) || s.Norm.above(size) {
		s.Bad++
		if s.Bad >= spikePatience {
			return Rollback
		}
		return Skip
	}
	s.Bad = 0
	s.Loss.add(loss)
	s.Norm.add(size)
	return OK
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func (c *Course) above(x float64) bool {
	return c.Seen >= spikeMemory && x > c.Mean+spikeLimit*max(c.Deviation, spikeLeast)
}

// add counts the first numbers evenly, and then the last spikeMemory or so.
func (c *Course) add(x float64) {
	c.Seen = min(c.Seen+1, spikeMemory)
	share := 1 / float64(c.Seen)
	distance := math.Abs(x - c.Mean)
	c.Mean += share * (x - c.Mean)
	if c.Seen > 1 {
		c.Deviation += share * (distance - c.Deviation)
	}
}
