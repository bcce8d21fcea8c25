package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/tensor"
)

// memory is a matrix's bytes on the host.
type memory []byte

func (m memory) Bytes() []byte { return m }

// mat is a matrix of one row.
func mat(x ...float32) tensor.Mat {
	m := tensor.Mat{Mem: make(memory, 4*len(x)), Rows: 1, Cols: len(x), Stride: len(x)}
	copy(m.Host(), x)
	return m
}

func read(dst []float32, src tensor.Mat)   { copy(dst, src.Host()) }
func upload(dst tensor.Mat, src []float32) { copy(dst.Host(), src) }

type state struct{ Step int }

// save writes a checkpoint of each value as a step.
func save(t *testing.T, out string, values ...float32) {
	t.Helper()
	w := Writer{Out: out}
	for i, v := range values {
		parts := []Part{{"w", []int{2}, mat(v, -v)}}
		if err := errors.Join(w.Save(read, parts, i+1, state{i + 1}), w.Wait()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheNewestIsKept(t *testing.T) {
	out := t.TempDir()
	save(t, out, 1, 2, 3)
	if paths, err := Paths(out); err != nil || !slices.Equal(paths, []string{Path(out, 2), Path(out, 3)}) {
		t.Fatalf("checkpoints %v, %v: want those of steps 2 and 3", paths, err)
	}
	into, s := mat(0, 0), state{}
	restore := func(path string) error {
		return Load(path, upload, []Part{{"w", []int{2}, into}}, &s, func() error { return nil })
	}
	if path, err := Resume(out, restore, os.Stderr); err != nil || path != Path(out, 3) || s.Step != 3 || into.Host()[1] != -3 {
		t.Errorf("%v of %q, %v: step %d", into.Host(), path, err, s.Step)
	}
}

func TestResumeFallsBack(t *testing.T) {
	out := t.TempDir()
	save(t, out, 1, 2)
	if err := os.WriteFile(Path(out, 2), []byte("cut off"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s state
	restore := func(path string) error {
		return Load(path, upload, []Part{{"w", []int{2}, mat(0, 0)}}, &s, func() error { return nil })
	}
	var said strings.Builder
	if path, err := Resume(out, restore, &said); err != nil || path != Path(out, 1) || !strings.Contains(said.String(), "step-00000002") {
		t.Errorf("went on from %q, %v, saying %q", path, err, said.String())
	}
	other := func(string) error { return NotOurs("of another run") }
	if _, err := Resume(out, other, &said); !errors.As(err, new(OtherRun)) {
		t.Errorf("another run's checkpoint: %v", err)
	}
	if path, err := Resume(filepath.Join(out, "none"), restore, &said); path != "" || err != nil {
		t.Errorf("no directory: %q, %v", path, err)
	}
}

func TestARefusedCheckpointChangesNothing(t *testing.T) {
	out := t.TempDir()
	save(t, out, 7)
	for name, c := range map[string]struct {
		parts  []Part
		accept error
	}{
		"refused":       {[]Part{{"w", []int{2}, mat(0, 0)}}, errors.New("no")},
		"another shape": {[]Part{{"w", []int{2}, mat(0, 0)}, {"w", []int{1}, mat(0)}}, nil},
		"a part more":   {[]Part{{"w", []int{2}, mat(0, 0)}, {"v", []int{2}, mat(0, 0)}}, nil},
	} {
		var s state
		err := Load(Path(out, 1), upload, c.parts, &s, func() error { return c.accept })
		if err == nil || c.parts[0].M.Host()[0] != 0 {
			t.Errorf("%s: %v, w is %v", name, err, c.parts[0].M.Host())
		}
	}
}
