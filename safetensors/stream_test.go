package safetensors

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func TestDirWriter(t *testing.T) {
	tensors := []Info{
		{Name: "a", DType: BF16, Shape: []int{3}}, {Name: "b", DType: I32, Shape: []int{2, 2}}, {Name: "c", DType: I64, Shape: []int{2}},
		{Name: "d", DType: F32, Shape: []int{1}}, {Name: "e", DType: I32, Shape: []int{1, 1}},
	}
	data := map[string][]byte{
		"a": {0x80, 0x3f, 0, 0x40, 0x40, 0x40}, "b": make([]byte, 16), "c": binary.LittleEndian.AppendUint64(make([]byte, 8), 7),
		"d": binary.LittleEndian.AppendUint32(nil, math.Float32bits(4)), "e": {1, 0, 0, 0},
	}
	for limit, files := range map[int64][]string{
		1 << 20: {"model.safetensors"},
		24:      {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"},
	} {
		dir := t.TempDir()
		w, err := CreateDir(dir, tensors, limit)
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for name, b := range data {
			wait.Go(func() {
				if err := w.Write(name, b); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := list(t, dir); !slices.Equal(got, files) {
			t.Errorf("files %v, want %v", got, files)
		}
		r := mustOpen(t, dir)
		if got := mustRead(t, r, "a"); !slices.Equal(got, []float32{1, 2, 3}) {
			t.Errorf("a is %v", got)
		}
		for name, want := range data {
			info, _ := r.Info(name)
			got := make([]byte, info.Size())
			if err := r.ReadBytes(name, got, 0); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s is %v, %v; want %v", name, got, err, want)
			}
			if err := r.ReadBytes(name, got[:2], info.Size()-2); err != nil || !slices.Equal(got[:2], want[len(want)-2:]) {
				t.Errorf("%s ends in %v, %v; want %v", name, got[:2], err, want)
			}
			if info.off%info.DType.size() != 0 {
				t.Errorf("%s lies at byte %d", name, info.off)
			}
		}
		for off, size := range map[int64]int{0: 7, 3: 4, 7: 0, -1: 1, math.MaxInt64: 1} {
			oneLine(t, r.ReadBytes("a", make([]byte, size), off), "6 bytes", "are wanted")
		}
		oneLine(t, r.ReadBytes("nothing", nil, 0), "nothing")
	}
}

func TestDirWriterRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, tensors := range [][]Info{
		{{Name: "a", DType: F32, Shape: []int{1}}, {Name: "a", DType: F32, Shape: []int{1}}},
		{{Name: "a", DType: "INT4", Shape: []int{1}}},
		{{Name: "a", DType: F32, Shape: []int{-1}}},
		{{Name: "a", DType: F32, Shape: []int{1 << 40, 1 << 40}}},
		{{Name: "__metadata__", DType: F32, Shape: []int{1}}},
	} {
		_, err := CreateDir(dir, tensors, 1<<20)
		oneLine(t, err, "tensor")
	}
	w, err := CreateDir(dir, []Info{{Name: "a", DType: F32, Shape: []int{1}}}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	oneLine(t, w.Write("a", nil), "0 bytes for a place of 4")
	oneLine(t, w.Write("b", nil), `"b"`)
	oneLine(t, w.Close(), `"a" was not written`)
	if _, err := CreateDir(dir, []Info{{Name: "a", DType: F32, Shape: []int{1}}}, 1<<20); err == nil {
		t.Error("weights that are there are written over")
	}
	if err := os.Remove(filepath.Join(dir, singleName)); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateDir(filepath.Join(dir, "nowhere"), []Info{{Name: "a", DType: F32, Shape: []int{1}}}, 1<<20); err == nil {
		t.Error("a directory that is not there")
	}
}
