package model

import (
	"math"
	"slices"
	"strings"
	"testing"

	"sprat/config"
	"sprat/device"
	"sprat/tensor"
)

// tinyGQA is tiny with grouped-query attention, its four heads in groups of keys and values.
func tinyGQA(t *testing.T, groups int) *config.Config {
	t.Helper()
	cfg := tiny(t)
	cfg.ModelType, cfg.Architectures = "sprat_gqa", []string{"SpratGQAForCausalLM"}
	cfg.QLoRARank, cfg.KVLoRARank, cfg.QKNoPEHeadDim, cfg.QKRoPEHeadDim, cfg.VHeadDim = 0, 0, 0, 0, 0
	cfg.NumAttentionHeads, cfg.NumKeyValueHeads, cfg.HeadDim = 4, groups, 6
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestGQAGradient(t *testing.T) {
	for name, e := range gradientErrors(t, tinyGQA(t, 2), newDevice(t, 2), Objective{MTPWeight: 0.3}) {
		if e > gradientTolerance {
			t.Errorf("%s: slopes by differences and by Backward differ by %.2g of their size", name, e)
		}
	}
}

// lastOfGroup is a device with a mistake: of a group's gradients of keys and values only the last counts.
type lastOfGroup struct {
	device.Device
	width int
}

func (d lastOfGroup) Add(dst, src tensor.Mat) {
	if src.Cols == d.width {
		d.Zero(dst)
	}
	d.Device.Add(dst, src)
}

func TestGQAGradientCheckHasTeeth(t *testing.T) {
	cfg := tinyGQA(t, 2)
	for name, dev := range map[string]device.Device{
		"group": lastOfGroup{newDevice(t, 2), cfg.HeadDim}, "rotation": turnsForward{newDevice(t, 2)},
	} {
		wrong := 0
		for param, e := range gradientErrors(t, cfg, dev, Objective{MTPWeight: 0.3}) {
			if e > gradientTolerance && strings.Contains(param, "k_proj") {
				wrong++
			}
		}
		if wrong == 0 {
			t.Errorf("%s: a Backward that is wrong passes the check", name)
		}
	}
}

// TestGQAAgainstFloat64 computes one layer's attention head by head, as the equations stand.
func TestGQAAgainstFloat64(t *testing.T) {
	cfg := tinyGQA(t, 2)
	m := New(cfg, newDevice(t, 2), Options{})
	m.Init(7, 0.5)
	b := randomBatch(cfg.VocabSize, 11, 6)
	a, s := m.Blocks[0].GQA, m.NewState(len(b.IDs), false)
	m.forward(s, b)
	l := &s.blocks[0]
	u := m.dev.Alloc(len(b.IDs), cfg.HiddenSize, tensor.F32)
	a.Forward(u, l.xNorm, &s.rows, &l.gqa)

	want := make([]float32, 0, u.Rows*u.Cols)
	for j := range b.Starts[1:] {
		lo, hi := int(b.Starts[j]), int(b.Starts[j+1])
		for i := lo; i < hi; i++ {
			want = append(want, gqaRow(a, cfg, l.xNorm.RowSlice(lo, i+1))...)
		}
	}
	if e := relative(u.Host(), want); e > 1e-5 {
		t.Errorf("relative difference %.2g", e)
	}
}

// gqaRow is the output of the last row of x, a sequence's beginning.
func gqaRow(a *GQA, cfg *config.Config, x tensor.Mat) []float32 {
	p, o := cfg.HeadDim, []float64{}
	times := func(w tensor.Mat, row, head int, turn bool) []float64 {
		y := make([]float64, p)
		for c := range y {
			for k := range x.Cols {
				y[c] += float64(w.Host()[(head*p+c)*w.Cols+k]) * float64(x.Host()[row*x.Cols+k])
			}
		}
		for c := 0; turn && c < p; c += 2 {
			sin, cos := math.Sincos(float64(row) * math.Pow(cfg.RoPETheta, -float64(c)/float64(p)))
			y[c], y[c+1] = y[c]*cos-y[c+1]*sin, y[c]*sin+y[c+1]*cos
		}
		return y
	}
	for head := range cfg.NumAttentionHeads {
		group := head / (cfg.NumAttentionHeads / cfg.NumKeyValueHeads)
		q := times(a.QProj.W, x.Rows-1, head, true)
		sum, out := 0.0, make([]float64, p)
		for s := range x.Rows {
			k, v, dot := times(a.KProj.W, s, group, true), times(a.VProj.W, s, group, false), 0.0
			for c := range q {
				dot += q[c] * k[c]
			}
			weight := math.Exp(dot / math.Sqrt(float64(p)))
			sum += weight
			for c := range out {
				out[c] += weight * v[c]
			}
		}
		for c := range out {
			o = append(o, out[c]/sum)
		}
	}
	u := make([]float32, x.Cols)
	for i := range u {
		dot := 0.0
		for k := range o {
			dot += float64(a.OProj.W.Host()[i*len(o)+k]) * o[k]
		}
		u[i] = float32(dot)
	}
	return u
}

// Multi-head attention whose heads have their group's weights computes the same, bit for bit, and its gradients of these weights
// add up to the group's.
func TestGQAIsMultiHeadWithSharedWeights(t *testing.T) {
	const heads, groups = 4, 2
	g, m := New(tinyGQA(t, groups), newDevice(t, 2), Options{Train: true}), New(tinyGQA(t, heads), newDevice(t, 2), Options{Train: true})
	g.Init(7, 0.2)
	isShared := func(name string) bool { return strings.Contains(name, "k_proj") || strings.Contains(name, "v_proj") }
	byName := map[string]*tensor.Param{}
	for p := range g.Params() {
		byName[p.Name] = p
	}
	for p := range m.Params() {
		w := byName[p.Name].W.Host()
		if isShared(p.Name) {
			w = repeat(w, heads, groups)
		}
		m.dev.Upload(p.W, w)
	}
	b := randomBatch(g.Config.VocabSize, 20, 13)
	if !slices.Equal(g.logits(t, b), m.logits(t, b)) {
		t.Error("logits differ")
	}
	o := Objective{MTPWeight: 0.3}
	g.Gradients(g.NewState(len(b.IDs), true), b, o)
	m.Gradients(m.NewState(len(b.IDs), true), b, o)
	for p := range m.Params() {
		if p.Frozen {
			continue
		}
		got, want := byName[p.Name].G.Host(), p.G.Host()
		if isShared(p.Name) {
			want = sumHeads(want, heads, groups)
		}
		if e := relative(got, want); e > 1e-5 { // sums in two orders
			t.Errorf("%s: gradients differ by %.2g", p.Name, e)
		}
	}
}

// repeat gives each head its group's rows.
func repeat(w []float32, heads, groups int) (all []float32) {
	n := len(w) / groups
	for i := range heads {
		g := i / (heads / groups)
		all = append(all, w[g*n:(g+1)*n]...)
	}
	return all
}

// sumHeads adds up each group's heads.
func sumHeads(w []float32, heads, groups int) []float32 {
	n := len(w) / heads
	sum := make([]float32, groups*n)
	for i := range heads {
		for j := range n {
			sum[i/(heads/groups)*n+j] += w[i*n+j]
		}
	}
	return sum
}

func TestGQARecomputes(t *testing.T) {
	cfg := tinyGQA(t, 2)
	b := randomBatch(cfg.VocabSize, 20, 13)
	var grads [2]map[string][]float32
	for i, recompute := range []bool{false, true} {
		m := New(cfg, newDevice(t, 1+i), Options{Train: true, Recompute: recompute}) // nor do threads matter
		m.Init(7, 0.2)
		grads[i], _ = gradientsOf(m, Objective{MTPWeight: 0.3}, b)
	}
	for name := range grads[0] {
		if !slices.Equal(grads[0][name], grads[1][name]) {
			t.Errorf("%s: its gradient depends on recomputing or on threads", name)
		}
	}
}
