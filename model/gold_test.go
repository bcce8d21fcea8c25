package model

import (
	"errors"
	"math"
	"path/filepath"
	"testing"

	"sprat/config"
	"sprat/device"
	"sprat/device/cpu"
	"sprat/safetensors"
	"sprat/tensor"
)

const goldDir = "../testdata/gold"

// goldObjective is what the gold vectors were made with, by case; see testdata/gold/README.md.
var goldObjective = map[string]Objective{
	"v3-mtp":     {MTPWeight: 0.3},
	"v3-balance": {Balance: 0.01},
}

// A tensor agrees with the reference when the norm of the difference is under this share of the reference's norm. Both are
// computed in float32 over a few thousand operations in sequence, of relative error 6e-8 each.
const goldTolerance = 1e-4

func TestGold(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join(goldDir, "*", "gold.safetensors"))
	if err != nil || len(cases) < 6 {
		t.Fatalf("want at least six cases under %s, found %d (%v)", goldDir, len(cases), err)
	}
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			dev := newDevice(t, 2)
			m := loadGold(t, dir, dev, true)
			gold := openWeights(t, path)
			b := goldBatch(t, gold)
			s := m.NewState(len(b.IDs), true)

			checkLogits(t, m, s, b, gold)
			checkGradients(t, m, s, b, gold, goldObjective[filepath.Base(dir)])
		})
	}
}

func checkLogits(t *testing.T, m *Model, s *State, b Batch, gold *safetensors.Reader) {
	t.Helper()
	out := m.dev.Alloc(len(b.IDs), m.Config.VocabSize, tensor.F32)
	var mtp []tensor.Mat
	for range m.MTP {
		mtp = append(mtp, m.dev.Alloc(len(b.IDs), m.Config.VocabSize, tensor.F32))
	}
	m.Logits(s, b, out, mtp)
	compare(t, gold, "logits", out.Host())
	for k, d := range mtp {
		compare(t, gold, "mtp_logits."+string(rune('1'+k)), d.Host())
	}
}

func checkGradients(t *testing.T, m *Model, s *State, b Batch, gold *safetensors.Reader, o Objective) {
	t.Helper()
	loss := m.Gradients(s, b, o)
	want := read(t, gold, "loss")[0]
	if got := loss.Total(o); math.Abs(got-float64(want)) > goldTolerance*math.Abs(float64(want)) {
		t.Errorf("loss %v, want %v", got, want)
	}
	for p := range m.Params() {
		if !p.Frozen {
			compare(t, gold, "grad."+p.Name, p.G.Host())
		}
	}
}

func newDevice(t *testing.T, threads int) device.Inference {
	dev := cpu.New(threads)
	t.Cleanup(dev.Close)
	return dev
}

func loadGold(t *testing.T, dir string, dev device.Device, train bool) *Model {
	t.Helper()
	cfg, err := config.Load(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := New(cfg, dev, Options{Train: train, Positions: 64})
	w := openWeights(t, dir)
	if err := errors.Join(CheckWeights(cfg, w), m.Load(w)); err != nil {
		t.Fatal(err)
	}
	return m
}

func openWeights(t *testing.T, path string) *safetensors.Reader {
	t.Helper()
	r, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// goldBatch is the case's input: B sequences of one length.
func goldBatch(t *testing.T, gold *safetensors.Reader) Batch {
	t.Helper()
	info, ok := gold.Info("input_ids")
	if !ok || len(info.Shape) != 2 {
		t.Fatalf("input_ids has shape %v", info.Shape)
	}
	shape := info.Shape
	b := Batch{IDs: readInts(t, gold, "input_ids"), Targets: readInts(t, gold, "targets")}
	for i := range shape[0] + 1 {
		b.Starts = append(b.Starts, int32(i*shape[1]))
	}
	return b
}

func read(t *testing.T, r *safetensors.Reader, name string) []float32 {
	t.Helper()
	info, ok := r.Info(name)
	if !ok {
		t.Fatalf("gold.safetensors has no %s", name)
	}
	v := make([]float32, info.Len())
	if err := r.ReadFloat32(name, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func readInts(t *testing.T, r *safetensors.Reader, name string) []int32 {
	t.Helper()
	info, _ := r.Info(name)
	v := make([]int64, info.Len())
	if err := r.ReadInts(name, v); err != nil {
		t.Fatal(err)
	}
	out := make([]int32, len(v))
	for i, x := range v {
		out[i] = int32(x)
	}
	return out
}

func compare(t *testing.T, gold *safetensors.Reader, name string, got []float32) {
	t.Helper()
	compareValues(t, name, got, read(t, gold, name))
}

// compareValues fails where ‖got - want‖ / ‖want‖ is not under the tolerance.
func compareValues(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	if e := relative(got, want); !(e < goldTolerance) {
		t.Errorf("%s: relative difference %.3g", name, e)
	}
}

func relative(got, want []float32) float64 {
	diff, ref := 0.0, 0.0
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		diff += d * d
		ref += float64(want[i]) * float64(want[i])
	}
	if ref == 0 {
		return math.Sqrt(diff)
	}
	return math.Sqrt(diff / ref)
}
