package sample

// random gives one number a position: SplitMix64 (Steele, Lea and Flood, 2014), whose n-th number needs none of those before.
type random struct {
	start    uint64
	position uint64
}

func newRandom(seed, choice uint64) random { return random{start: scramble(scramble(seed) + choice)} }

// uniform is the position's number in [0, 1), or another for each further try.
func (r *random) uniform(try uint64) float64 {
	const golden = 0x9e3779b97f4a7c15
	z := scramble(r.start + (r.position+1)*golden)
	if try > 0 {
		z = scramble(z + try*golden)
	}
	return float64(z>>11) * 0x1p-53
}

func scramble(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
