package optim

import "math"

// WarmupCosine is the learning rate of step (from 0) of steps: a linear rise to peak over warmup steps, then half a cosine
// down to floor.
func WarmupCosine(step, warmup, steps int, peak, floor float64) float64 {
	if step < warmup {
		return peak * float64(step+1) / float64(warmup)
	}
	if steps-1 <= warmup {
		return peak
	}
	t := min(1, float64(step-warmup)/float64(steps-1-warmup))
	return floor + (peak-floor)*0.5*(1+math.Cos(math.Pi*t))
}
