package main

import (
	"bufio"
	"os"
	"runtime"
	"strings"
)

// cpuName is the processor's name as Linux tells it, or the architecture.
func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "model name"); ok {
			return strings.TrimLeft(name, " \t:")
		}
	}
	return runtime.GOARCH
}
