package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sprat/quantize"
)

func TestQuantize(t *testing.T) {
	base := t.TempDir()
	out := filepath.Join(base, "q")
	var r quantize.Report
	decode(t, must(t, "", "quantize", "nano", out, "--bits", "4", "--json"), &r)
	// The bounds, here and below, are a fifth over what nano's weights give, 0.028 and 0.037; what 4 bits may cost in a layer,
	// whatever the model, is quant's TestErrorOnRealWeights.
	if r.Figures == nil || !(r.Figures.Weights.KL > 0 && r.Figures.Run.KL < 0.034) || r.BitsPerWeight < 4.5 || r.BitsPerWeight > 7 {
		t.Errorf("%+v, %+v", r, r.Figures)
	}
	var eight quantize.Report // of 8 bits, where little is lost whatever the model: nano loses 0.0008
	decode(t, must(t, "", "quantize", "nano", filepath.Join(base, "8"), "--json"), &eight)
	if eight.Figures == nil || !(eight.Figures.Weights.KL > 0 && eight.Figures.Run.KL < 0.001) {
		t.Errorf("8 bits: %+v, %+v", eight, eight.Figures)
	}
	var i inspection
	decode(t, must(t, "", "inspect", "--json", out), &i)
	if !strings.Contains(i.Quantization, "4 bits with groups of 32") || i.StoredBytes != r.Bytes {
		t.Errorf("inspect says %q, %d bytes; want %d", i.Quantization, i.StoredBytes, r.Bytes)
	}
	var before, after position
	decode(t, must(t, "", "logits", "--model", "nano", "--ids", "5"), &before)
	decode(t, must(t, "", "logits", "--model", out, "--ids", "5"), &after)
	differ, size, shift := 0.0, 0.0, 0.0 // a shift of all logits is nothing to a softmax
	for i, l := range before.Logits {
		shift += float64(l-after.Logits[i]) / float64(len(before.Logits))
	}
	for i, l := range before.Logits {
		differ += math.Pow(float64(l-after.Logits[i])-shift, 2)
		size += float64(l * l)
	}
	if differ == 0 || differ > 0.045*size {
		t.Errorf("the logits' squared difference is %g of %g", differ, size)
	}
	if text := must(t, "", "generate", "--model", out, "--prompt", "Once", "--max-tokens", "5"); !strings.HasPrefix(text, "Once") {
		t.Errorf("generated %q", text)
	}
}

func TestQuantizeMistakes(t *testing.T) {
	base := t.TempDir()
	short := filepath.Join(base, "short.txt")
	writeFile(t, short, "Hm.")
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{exitUsage, "3 bits: want 4 or 8", []string{"nano", filepath.Join(base, "q"), "--bits", "3"}},
		{exitUsage, "groups of 20", []string{"nano", filepath.Join(base, "q"), "--group", "20"}},
		{exitUsage, "--threads", []string{"nano", filepath.Join(base, "q"), "--threads", "-1"}},
		{exitUsage, "give one with --data", []string{"nano", filepath.Join(base, "q"), "--method", "calibrated"}},
		{exitFailed, "not empty", []string{"nano", base}},
		{exitFailed, "no such directory", []string{filepath.Join(base, "m"), filepath.Join(base, "q")}},
		{exitFailed, "some pages", []string{"nano", filepath.Join(base, "q"), "--data", short}},
		{exitFailed, "--data", []string{"nano", filepath.Join(base, "q"), "--data", filepath.Join(base, "none.txt")}},
	} {
		_, errs, status := sprat(t, "", append([]string{"quantize"}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: status %d, %q; want %d and %q", c.args, status, errs, c.status, c.want)
		}
	}
	if list, err := os.ReadDir(base); err != nil || len(list) != 1 {
		t.Errorf("left: %v, %v", list, err)
	}
}
