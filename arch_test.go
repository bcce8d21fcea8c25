// Package sprat holds no code: its test keeps the packages in order. See docs/adr/0001-levels.md.
package sprat

import (
	"bufio"
	"bytes"
	"go/build"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// levels says what may import what: a package imports packages of a lower level, and of its own only what allowed names.
var levels = map[string]int{
	"atomicfile":        0,
	"progress":          0,
	"runfile":           0,
	"kernel":            0,
	"float8":            0,
	"tokenizer":         0,
	"safetensors":       0,
	"config":            0,
	"tensor":            1,
	"device":            1,
	"device/cpu":        1,
	"device/devicetest": 1,
	"cost":              1,
	"tasks":             1,
	"chat":              1,
	"nn":                2,
	"checkpoint":        2,
	"latent":            2,
	"quant":             2,
	"reward":            2,
	"model":             3,
	"report":            3,
	"report/tfevents":   0,
	"optim":             3,
	"data":              3,
	"sched":             3,
	"sample":            3,
	"train":             4,
	"engine":            4,
	"quantize":          5,
	"eval":              5,
	"grpo":              5,
	"api":               5,
	"distill":           6,
	"app":               6,
	"web":               6,
	"models/nano":       6,
	"cmd/sprat":         7,
	"runs/r1report":     7,
}

// allowed are the imports within one level, each with its reason.
var allowed = map[[2]string]string{
	{"device", "tensor"}:                "operations are over matrices",
	{"device/cpu", "tensor"}:            "a device owns the memory of matrices",
	{"device/cpu", "device"}:            "it implements the interface",
	{"device/devicetest", "tensor"}:     "it tests any device",
	{"device/devicetest", "device"}:     "it tests any device",
	{"kernel", "float8"}:                "its tests compare products in FP8",
	{"safetensors", "float8"}:           "FP8 weights are decoded as they are read",
	{"safetensors", "atomicfile"}:       "it makes directories durable",
	{"tokenizer", "atomicfile"}:         "it saves tokenizer.json",
	{"device/cpu", "device/devicetest"}: "its tests run the suite",
	{"train", "engine"}:                 "it opens the model that it goes on with",
	{"grpo", "eval"}:                    "exams on the way",
}

// onlyImporter names packages that a single package may import, as they are heavy or unsafe elsewhere.
var onlyImporter = map[string]string{
	"models/nano": "cmd/sprat",
	"web":         "cmd/sprat",
}

// imports are all of our own packages that a package may import, where it is to know less than its level allows.
var imports = map[string]string{
	"sched": "latent", // it is tested without weights
}

func TestImportsGoDown(t *testing.T) {
	for dir, level := range levels {
		pkg, err := build.ImportDir(filepath.FromSlash(dir), 0)
		if err != nil {
			t.Errorf("%s is listed here, but: %v", dir, err)
			continue
		}
		for _, path := range append(append(pkg.Imports, pkg.TestImports...), pkg.XTestImports...) {
			name, ours := strings.CutPrefix(path, "sprat/")
			if !ours || name == dir {
				continue
			}
			below, known := levels[name]
			switch {
			case !known:
				t.Errorf("%s imports %s, which has no level: add it here", dir, name)
			case below > level:
				t.Errorf("%s (level %d) imports %s (level %d): imports go down", dir, level, name, below)
			case below == level && allowed[[2]string{dir, name}] == "":
				t.Errorf("%s imports %s of the same level %d, and no reason is listed here", dir, name, level)
			}
			if only, ok := imports[dir]; ok && name != only {
				t.Errorf("%s imports %s: of ours it may import only %s", dir, name, only)
			}
			if only := onlyImporter[name]; only != "" && only != dir {
				t.Errorf("%s imports %s, which only %s may", dir, name, only)
			}
		}
	}
}

func TestEveryPackageHasALevel(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
			return filepath.SkipDir
		}
		dir := filepath.ToSlash(path)
		if pkg, err := build.ImportDir(path, 0); err == nil && len(pkg.GoFiles) > 0 {
			if _, ok := levels[dir]; !ok && dir != "." {
				t.Errorf("%s has no level here", dir)
			}
			if pkg.Doc == "" {
				t.Errorf("%s has no package comment", dir)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoCgo(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if .CgoFiles}}{{if not .Standard}}{{.ImportPath}}{{end}}{{end}}", "./...").Output()
	if err != nil {
		t.Skipf("go list does not run here: %v", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if lines.Text() != "" {
			t.Errorf("%s needs cgo", lines.Text())
		}
	}
}
