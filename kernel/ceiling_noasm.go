//go:build !amd64 || purego

package kernel

func fmaLoop(rounds int) int { return fmaLoopPortable(rounds) }

func readAll(buf []float32) { readAllPortable(buf) }
