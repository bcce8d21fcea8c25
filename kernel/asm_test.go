package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVectorFunctionsClearUpperHalves: a return with dirty upper halves slows every later SSE instruction of the program down.
func TestVectorFunctionsClearUpperHalves(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("assembly files: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		function, before, returns := "", "", 0
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if rest, ok := strings.CutPrefix(line, "TEXT "); ok {
				function, _, _ = strings.Cut(rest, "(")
			}
			if line == "RET" {
				returns++
				if before != "VZEROUPPER" {
					t.Errorf("%s: %s returns after %q, want VZEROUPPER", file, function, before)
				}
			}
			if line != "" {
				before = line
			}
		}
		if returns == 0 {
			t.Errorf("%s: no function was found", file)
		}
	}
}
