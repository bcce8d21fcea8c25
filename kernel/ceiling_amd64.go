//go:build !purego

package kernel

func fmaLoop(rounds int) int {
	switch {
	case useAVX512:
		fmaLoopAVX512(rounds)
		return rounds * 24 * 16 * 2
	case useAVX2:
		fmaLoopAVX2(rounds)
		return rounds * 12 * 8 * 2
	}
	return fmaLoopPortable(rounds)
}

// int8Loop returns 0 where the processor has no instruction for it.
func int8Loop(rounds int) int {
	if !useAVX512VNNI {
		return 0
	}
	int8LoopAVX512(rounds)
	return rounds * 24 * 64 * 2
}

func readAll(buf []float32) {
	n := whole(len(buf), 64)
	if n > 0 {
		readAVX2(n, &buf[0])
	}
	readAllPortable(buf[n:])
}
