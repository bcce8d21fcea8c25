//go:build !amd64 || purego

package kernel

func fmaLoop(rounds int) int { return fmaLoopPortable(rounds) }

func int8Loop(rounds int) int { return 0 }

func readAll(buf []float32) { readAllPortable(buf) }
