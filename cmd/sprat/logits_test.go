package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sprat/safetensors"
)

// TestLogitsAreGold: what the program prints is what the reference computes, and a position has a row for each depth of which it
// knows the tokens.
func TestLogitsAreGold(t *testing.T) {
	const dir = "../../testdata/gold/v3-mtp"
	gold, err := safetensors.Open(dir + "/gold.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer gold.Close()
	info, _ := gold.Info("logits")
	n, vocab := info.Shape[1], info.Shape[2]
	ids := make([]int64, info.Shape[0]*n)
	if err := gold.ReadInts("input_ids", ids); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []float32 {
		x := make([]float32, info.Len())
		if err := gold.ReadFloat32(name, x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	want := [][]float32{read("logits"), read("mtp_logits.1"), read("mtp_logits.2")}

	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(ids[:n]), " ", ","), "[]")
	lines := strings.Split(strings.TrimSpace(must(t, "", "logits", "--model", dir, "--mtp", "--ids", list)), "\n")
	if len(lines) != n {
		t.Fatalf("%d lines for %d ids", len(lines), n)
	}
	for i, line := range lines {
		var p position
		decode(t, line, &p)
		if depths := min(2, n-1-i); p.Pos != i || len(p.MTPLogits) != depths {
			t.Fatalf("line %d has position %d and %d depths, want %d", i, p.Pos, len(p.MTPLogits), depths)
		}
		for k, got := range append([][]float32{p.Logits}, p.MTPLogits...) {
			diff, ref := 0.0, 0.0
			for j, w := range want[k][i*vocab:][:vocab] {
				diff += math.Pow(float64(got[j]-w), 2)
				ref += math.Pow(float64(w), 2)
			}
			if e := math.Sqrt(diff / ref); !(e < 1e-4) {
				t.Errorf("position %d, depth %d: relative difference %.2g", i, k, e)
			}
		}
	}
}
