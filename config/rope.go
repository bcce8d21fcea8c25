package config

import "math"

// RoPEFrequencies returns the angle in radians by which each pair of the rotary part turns from one position to the next,
// RotaryDim/2 numbers: θ^(-2i/d), slowed by YaRN (arXiv 2309.00071) where RoPEScaling is set. YaRN leaves the pairs that
// turn more than BetaFast times within the original context, divides those that turn less than BetaSlow times by Factor, and
// goes over from one to the other linearly in between.
func (c *Config) RoPEFrequencies() []float64 {
	d := float64(c.RotaryDim())
	freqs := make([]float64, c.RotaryDim()/2)
	for i := range freqs {
		freqs[i] = math.Pow(c.RoPETheta, -2*float64(i)/d)
	}
	s := c.RoPEScaling
	if s == nil {
		return freqs
	}
	low := max(math.Floor(c.pairTurning(s.BetaFast)), 0)
	high := min(math.Ceil(c.pairTurning(s.BetaSlow)), d-1)
	if low == high {
		high += 0.001 // as in DeepSeek's code: a step, without dividing by 0
	}
	for i := range freqs {
		slow := min(max((float64(i)-low)/(high-low), 0), 1)
		freqs[i] *= 1 - slow + slow/s.Factor
	}
	return freqs
}

// pairTurning is the index, as a real number, of the pair that turns n times within the original context.
func (c *Config) pairTurning(n float64) float64 {
	context := float64(c.RoPEScaling.OriginalMaxPositionEmbeddings)
	return float64(c.RotaryDim()) * math.Log(context/(n*2*math.Pi)) / (2 * math.Log(c.RoPETheta))
}

// SoftmaxScale is what the products of queries and keys are multiplied by, rotary and other part alike: one over the root of
// their width, and with YaRN the square of its mscale for MScaleAllDim.
func (c *Config) SoftmaxScale() float64 {
	scale := 1 / math.Sqrt(float64(c.QKHeadDim()))
	if s := c.RoPEScaling; s != nil {
		m := mscale(s.Factor, s.MScaleAllDim)
		scale *= m * m
	}
	return scale
}

// RoPEMagnitude is what cosines and sines are multiplied by: with YaRN the ratio of its mscale for MScale and MScaleAllDim,
// which is 1 in all published models, else 1.
func (c *Config) RoPEMagnitude() float64 {
	s := c.RoPEScaling
	if s == nil {
		return 1
	}
	return mscale(s.Factor, s.MScale) / mscale(s.Factor, s.MScaleAllDim)
}

// mscale is YaRN's growth of the scores with the context: 1 where m is 0 or the context does not grow.
func mscale(factor, m float64) float64 { return 0.1*m*math.Log(factor) + 1 }
