package model

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"sprat/config"
	"sprat/device"
)

// served is a Packed with a cache, for tests that run sequences through it in pieces.
type served struct {
	*Packed
	pages device.Pages
	size  int // of a page
	free  []int32
}

// serve packs m in float32, with pages of size rows that are given out from the last to the first.
func serve(t *testing.T, m *Model, f device.Format, p device.Precision, pf device.PageFormat, size int) *served {
	t.Helper()
	packed, err := Pack(m.Config, m.dev.(device.Inference), m.Positions(), p, Uniform(f), m.Source())
	if err != nil {
		t.Fatal(err)
	}
	const pages = 40
	s := &served{Packed: packed, size: size, pages: packed.dev.NewPages(packed.PagesShape(pages, size, pf))}
	for i := range int32(pages) {
		s.free = append(s.free, i)
	}
	return s
}

// query is a piece of a sequence to be run.
type query struct {
	ids      []int32
	past     int
	explicit bool
	table    *[]int32
}

// run computes the pieces in one step and returns the logits of all rows of each.
func (s *served) run(queries ...query) [][]float32 {
	step := Step{}
	for _, explicit := range []bool{false, true} {
		for _, q := range queries {
			if q.explicit != explicit {
				continue
			}
			for len(*q.table)*s.size < q.past+len(q.ids) {
				last := len(s.free) - 1
				*q.table = append(*q.table, s.free[last])
				s.free = s.free[:last]
			}
			step.Contexts = append(step.Contexts, device.Context{First: len(step.IDs), Rows: len(q.ids), Past: q.past, Table: *q.table})
			for i, id := range q.ids {
				step.Logits = append(step.Logits, int32(len(step.IDs)))
				step.IDs, step.Pos = append(step.IDs, id), append(step.Pos, int32(q.past+i))
			}
			if !explicit {
				step.Absorbed++
			}
		}
	}
	n, v := len(step.IDs), s.Config.VocabSize
	all := make([]float32, n*v)
	s.Run(s.NewPass(n, n), s.pages, step, all)
	var out [][]float32
	for _, explicit := range []bool{false, true} {
		for _, q := range queries {
			if q.explicit == explicit {
				out = append(out, all[:len(q.ids)*v])
				all = all[len(q.ids)*v:]
			}
		}
	}
	return out
}

// chunks runs ids in pieces of the given lengths and returns the logits of all rows.
func (s *served) chunks(ids []int32, explicit bool, lengths ...int) (logits []float32) {
	var table []int32
	past := 0
	for _, n := range lengths {
		logits = append(logits, s.run(query{ids[past : past+n], past, explicit, &table})[0]...)
		past += n
	}
	s.free = append(s.free, table...)
	return logits
}

func TestGoldInference(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join(goldDir, "*", "gold.safetensors"))
	if err != nil || len(cases) < 6 {
		t.Fatalf("want at least six cases under %s, found %d (%v)", goldDir, len(cases), err)
	}
	for _, path := range cases {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			gold := openWeights(t, path)
			b, want := goldBatch(t, gold), read(t, gold, "logits")
			s := serve(t, loadGold(t, dir, newDevice(t, 2), false), device.FormatF32, device.F32, device.PagesF32, 8)
			for _, explicit := range []bool{false, true} {
				if explicit && s.Config.IsGQA() {
					continue
				}
				var got []float32
				for i, start := range b.Starts[1:] {
					ids := b.IDs[b.Starts[i]:start]
					got = append(got, s.chunks(ids, explicit, len(ids)/3, len(ids)-len(ids)/3)...)
				}
				compareValues(t, fmt.Sprintf("logits, explicit %t", explicit), got, want)
			}
		})
	}
}

// TestServedEqualsModel: every way of cutting gives the trainer's logits.
func TestServedEqualsModel(t *testing.T) {
	for name, cfg := range map[string]*config.Config{"MLA": tiny(t), "MLA without a query latent": tinyDirect(t), "GQA": tinyGQA(t, 2), "MHA": tinyGQA(t, 4)} {
		t.Run(name, func(t *testing.T) {
			m := New(cfg, newDevice(t, 2), Options{})
			m.Init(7, 0.2)
			ids := randomBatch(cfg.VocabSize, 40).IDs
			want := m.logits(t, Batch{IDs: ids, Starts: []int32{0, 40}})
			s := serve(t, m, device.FormatF32, device.F32, device.PagesF32, 8)
			for _, lengths := range [][]int{{40}, {1, 1, 38}, {17, 1, 1, 21}} {
				// Two orders of summation in float32: some hundred roundings of 6e-8.
				if e := relative(s.chunks(ids, false, lengths...), want); e > 1e-5 {
					t.Errorf("absorbed, chunks %v: relative difference %.2g", lengths, e)
				}
				if cfg.IsGQA() {
					continue
				}
				if e := relative(s.chunks(ids, true, lengths...), want); e > 1e-5 {
					t.Errorf("explicit, chunks %v: relative difference %.2g", lengths, e)
				}
			}
		})
	}
}

// tinyDirect is tiny without a query latent.
func tinyDirect(t *testing.T) *config.Config {
	cfg := tiny(t)
	cfg.QLoRARank = 0
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestServedBits: in every format, a row's bits depend neither on how the sequence was cut, nor on what else is in the step, nor on
// which pages it has, nor on the number of threads.
func TestServedBits(t *testing.T) {
	for _, f := range []struct {
		name  string
		f     device.Format
		p     device.Precision
		pages device.PageFormat
	}{
		{"f32", device.FormatF32, device.F32, device.PagesF32},
		{"bf16", device.FormatBF16, device.BF16, device.PagesBF16},
		{"fp8", device.FormatFP8, device.BF16, device.PagesFP8},
		{"int8", device.FormatInt8, device.BF16, device.PagesBF16},
		{"int4", device.FormatInt4, device.BF16, device.PagesBF16},
	} {
		for _, explicit := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s explicit %t", f.name, explicit), func(t *testing.T) {
				load := func(threads, size int) *served {
					m := New(tiny(t), newDevice(t, threads), Options{})
					m.Init(7, 0.2)
					return serve(t, m, f.f, f.p, f.pages, size)
				}
				s := load(2, 8)
				ids, other := randomBatch(s.Config.VocabSize, 40).IDs, randomBatch(s.Config.VocabSize, 60).IDs[21:]
				whole := s.chunks(ids, explicit, 40)
				for _, lengths := range [][]int{{1, 1, 38}, {17, 1, 1, 21}, slices.Repeat([]int{1}, 40)} {
					if !slices.Equal(s.chunks(ids, explicit, lengths...), whole) {
						t.Errorf("chunks %v differ from the whole", lengths)
					}
				}
				if !slices.Equal(load(1, 8).chunks(ids, explicit, 40), whole) {
					t.Error("one thread differs from two")
				}
				if !slices.Equal(load(2, 64).chunks(ids, explicit, 40), whole) {
					t.Error("one page of 64 differs from pages of 8")
				}
				var tables [3][]int32
				s.run(query{other[:30], 0, true, &tables[1]}, query{ids[:11], 0, explicit, &tables[0]})
				together := s.run(query{other[30:31], 30, false, &tables[1]}, query{ids[11:], 11, explicit, &tables[0]}, query{other[:7], 0, false, &tables[2]})
				at := 1
				if explicit {
					at = 2
				}
				if v := s.Config.VocabSize; !slices.Equal(together[at], whole[11*v:]) {
					t.Error("a row's logits depend on what else is in its step")
				}
			})
		}
	}
}

// TestTrainerAndServedAgree: log-probabilities of the trainer and of what serves differ in float32 by roundings, and in bfloat16 by no
// more than the trainer's own are off; in either form, also after an update.
func TestTrainerAndServedAgree(t *testing.T) {
	cfg := tiny(t)
	cfg.NumHiddenLayers = 6
	exact, m := New(cfg, newDevice(t, 2), Options{}), New(cfg, newDevice(t, 2), Options{Precision: device.BF16})
	m.Init(7, 0.1)
	sf, sb := serve(t, m, device.FormatF32, device.F32, device.PagesF32, 8), serve(t, m, device.FormatBF16, device.BF16, device.PagesBF16, 8)
	ids := randomBatch(cfg.VocabSize, 60).IDs
	check := func(seed uint64, version int) {
		t.Helper()
		exact.Init(seed, 0.1)
		batch := Batch{IDs: ids, Starts: []int32{0, 60}}
		want, rounded := exact.logits(t, batch), m.logits(t, batch)
		off := meanLogProbDifference(rounded, want, cfg.VocabSize)
		for _, explicit := range []bool{false, true} {
			if d := meanLogProbDifference(sf.chunks(ids, explicit, 60), want, cfg.VocabSize); d > 1e-5 {
				t.Errorf("float32, explicit %t: mean |Δ log p| is %.2g", explicit, d)
			}
			// Two independent errors of that size are sqrt(2) of it apart; with some experts chosen otherwise, more.
			if d := meanLogProbDifference(sb.chunks(ids, explicit, 60), rounded, cfg.VocabSize); d > 4*off {
				t.Errorf("bfloat16, explicit %t: mean |Δ log p| is %.2g, where the trainer is off by %.2g", explicit, d, off)
			}
		}
		if sb.Version != version || off == 0 {
			t.Errorf("version %d, off by %v", sb.Version, off)
		}
	}
	check(7, 1)
	m.Init(8, 0.1)
	if err := errors.Join(sf.Fill(m.Source()), sb.Fill(m.Source())); err != nil {
		t.Fatal(err)
	}
	check(8, 2)
}

// meanLogProbDifference is the mean of |log p - log q| over all rows and tokens.
func meanLogProbDifference(a, b []float32, vocab int) float64 {
	sum := 0.0
	for i := 0; i < len(a); i += vocab {
		la, lb := logSum(a[i:i+vocab]), logSum(b[i:i+vocab])
		for j := i; j < i+vocab; j++ {
			sum += math.Abs(float64(a[j]) - la - float64(b[j]) + lb)
		}
	}
	return sum / float64(len(a))
}

func logSum(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v))
	}
	return math.Log(sum)
}
