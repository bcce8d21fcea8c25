package kernel

import "time"

// FMAPeak measures the float32 multiply-adds of one core, in FLOP/s: the best of runs over d.
func FMAPeak(d time.Duration) float64 {
	const rounds = 1 << 16
	return best(d, func() float64 { return float64(fmaLoop(rounds)) })
}

// Int8Peak measures the multiply-adds of bytes into int32 of one core, a multiply-add being two operations, in operations/s; 0 where
// the processor has no instruction for groups of them.
func Int8Peak(d time.Duration) float64 {
	const rounds = 1 << 16
	return best(d, func() float64 { return float64(int8Loop(rounds)) })
}

// FMAPeakOf is FMAPeak summed over so many cores, all measured at once.
func FMAPeakOf(cores int, d time.Duration) float64 {
	rates := make(chan float64)
	for range cores {
		go func() { rates <- FMAPeak(d) }()
	}
	sum := 0.0
	for range cores {
		sum += <-rates
	}
	return sum
}

// ReadBandwidth measures how fast one core reads buf again and again, in bytes/s: the best of runs over d.
func ReadBandwidth(buf []float32, d time.Duration) float64 {
	return best(d, func() float64 {
		readAll(buf)
		return float64(4 * len(buf))
	})
}

// best is the highest rate of f, which returns how much it did.
func best(d time.Duration, f func() float64) float64 {
	f()
	top := 0.0
	for start := time.Now(); time.Since(start) < d; {
		t := time.Now()
		done := f()
		top = max(top, done/time.Since(t).Seconds())
	}
	return top
}

// readAllPortable touches every element.
func readAllPortable(buf []float32) float32 {
	var a, b, c, d float32
	for ; len(buf) >= 4; buf = buf[4:] {
		a, b, c, d = a+buf[0], b+buf[1], c+buf[2], d+buf[3]
	}
	return a + b + c + d
}

// fmaLoopPortable does rounds of multiplications and additions without memory, and returns their number.
func fmaLoopPortable(rounds int) int {
	var acc [8]float32
	for range rounds {
		for i := range acc {
			acc[i] += float32(acc[i] * 0.5)
		}
	}
	if acc[0] != 0 {
		return 0
	}
	return rounds * len(acc) * 2
}
