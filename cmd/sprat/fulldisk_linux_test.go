package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// limitFiles makes every write beyond a size fail, as on a disk that is full, until the test calls the function it returns.
func limitFiles(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	set := func(r syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &r); err != nil {
			t.Fatal(err)
		}
	}
	set(syscall.Rlimit{Cur: size, Max: was.Max})
	return func() { set(was) }
}

// contents are the files under dir that make a model or are on the way to it, by path.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		name := filepath.Base(path)
		part := strings.HasPrefix(name, ".") || strings.Contains(name, ".tmp")
		if err != nil || d.IsDir() || name == "ledger.json" || !part && !slices.Contains([]string{".json", ".safetensors"}, filepath.Ext(name)) {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestFullDisk: a tokenizer or model that cannot be written leaves the earlier one, and nothing beside it.
func TestFullDisk(t *testing.T) {
	runFile, out := tinyFiles(t)
	must(t, "", "train-tokenizer", runFile)
	must(t, "", "pretrain", runFile, "--set", "train.steps=2")
	if err := os.RemoveAll(filepath.Join(out, "checkpoints")); err != nil { // else pretrain would not start anew
		t.Fatal(err)
	}
	before := contents(t, filepath.Dir(out))
	for _, c := range []struct {
		verb, file string
		room       uint64
	}{
		{"train-tokenizer", "tokenizer.json", 1000},
		{"pretrain", "saving a checkpoint", 30_000},
	} {
		lift := limitFiles(t, c.room)
		_, errs, status := sprat(t, "", c.verb, runFile, "--set", "seed=2", "--set", "train.steps=2", "--set", "tokenizer.vocab_size=290")
		lift()
		lines := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
		wantLine(t, c.verb, lines[len(lines)-1]+"\n", status, c.file, "file too large")
		if after := contents(t, filepath.Dir(out)); !maps.Equal(before, after) {
			t.Errorf("%s: files changed, or others are there", c.verb)
		}
	}
}

// TestFullDiskWhileQuantizing: what does not fit leaves nothing.
func TestFullDiskWhileQuantizing(t *testing.T) {
	base := t.TempDir()
	for _, room := range []uint64{1000, 100_000} {
		lift := limitFiles(t, room)
		_, errs, status := sprat(t, "", "quantize", "nano", filepath.Join(base, "q"))
		lift()
		wantLine(t, "quantize", errs, status, "file too large", filepath.Join(base, "q"))
		if list, err := os.ReadDir(base); err != nil || len(list) != 0 {
			t.Errorf("left: %v, %v", list, err)
		}
	}
}
