//go:build !purego

package kernel

func fmaLoop(rounds int) int {
	if !useAVX2 {
		return fmaLoopPortable(rounds)
	}
	fmaLoopAVX2(rounds)
	return rounds * 12 * 8 * 2
}

func readAll(buf []float32) {
	n := whole(len(buf), 64)
	if n > 0 {
		readAVX2(n, &buf[0])
	}
	readAllPortable(buf[n:])
}
