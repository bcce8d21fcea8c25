package cost

import (
	"math"
	"testing"

	"sprat/config"
)

func load(t *testing.T, name string) *config.Config {
	t.Helper()
	c, err := config.Load("../config/testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPublishedCounts(t *testing.T) {
	for _, c := range []struct {
		name                              string
		total, activated, headOnly, cache int64
	}{
		{"v3", 671_026_419_200, 37_552_297_472, 36_625_618_432, 70_272},
		{"v2", 235_741_434_880, 21_375_800_320, 20_851_512_320, 69_120},
		{"v2-lite", 15_706_484_224, 2_661_150_208, 2_451_435_008, 31_104},
	} {
		cfg := load(t, c.name)
		p := Count(cfg)
		if p.Total != c.total || p.Activated() != c.activated || p.ActivatedWithoutEmbedding() != c.headOnly {
			t.Errorf("%s: total %d, activated %d and %d; want %d, %d and %d",
				c.name, p.Total, p.Activated(), p.ActivatedWithoutEmbedding(), c.total, c.activated, c.headOnly)
		}
		if got := CacheBytes(cfg); got != c.cache {
			t.Errorf("%s: %d cache bytes a token, want %d", c.name, got, c.cache)
		}
		if sum := p.Embedding + p.Head + p.Attention + p.Dense + p.Routed + p.Shared + p.Gate + p.Norms; sum != p.Total {
			t.Errorf("%s: the groups sum to %d of %d", c.name, sum, p.Total)
		}
	}
}

func TestV3Parts(t *testing.T) {
	p := Count(load(t, "v3"))
	const expert, layers, moe = 44_040_192, 61, 58
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"attention", p.Attention, 187_107_328 * layers},
		{"routed experts", p.Routed, expert * 256 * moe},
		{"shared experts", p.Shared, expert * moe},
		{"embedding", p.Embedding, 926_679_040},
		{"head", p.Head, 926_679_040},
		{"MTP module", p.MTP, 11_610_068_224},
		{"MTP with its copies of embedding and head", p.MTP + p.Embedding + p.Head, 13_463_426_304},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
	if p.MTPActivated() != p.MTP-248*expert {
		t.Errorf("MTP activates %d", p.MTPActivated())
	}
}

func TestKimiIsATrillion(t *testing.T) {
	p := Count(load(t, "kimi-k2"))
	if t12, a9 := float64(p.Total)/1e12, float64(p.ActivatedWithoutEmbedding())/1e9; math.Abs(t12-1.03) > 0.01 || math.Abs(a9-31.7) > 0.5 {
		t.Errorf("Kimi-K2 has %.3f T parameters, %.2f B activated", t12, a9)
	}
}

// Published: 250 and 155 GFLOP a token at a context of 4096 (arXiv 2505.09343, table 2).
func TestTrainingFLOPs(t *testing.T) {
	for _, c := range []struct {
		name string
		want float64
	}{{"v3", 250.46e9}, {"v2", 155.31e9}, {"v2-lite", 16.41e9}} {
		if got := TrainingFLOPs(load(t, c.name), 4096); math.Abs(got/c.want-1) > 1e-3 {
			t.Errorf("%s: %.2f GFLOP a token, want %.2f", c.name, got/1e9, c.want/1e9)
		}
	}
}

// The two configs that figures in docs/BENCH.md are about.
func TestBenchmarkConfigs(t *testing.T) {
	s, m := load(t, "v3"), load(t, "v3")
	s.HiddenSize, s.NumHiddenLayers, s.FirstKDenseReplace, s.IntermediateSize = 256, 8, 1, 1024
	s.NumAttentionHeads, s.QLoRARank, s.KVLoRARank, s.QKNoPEHeadDim, s.QKRoPEHeadDim, s.VHeadDim = 8, 128, 64, 32, 16, 32
	s.NRoutedExperts, s.NumExpertsPerTok, s.MoEIntermediateSize, s.NGroup, s.TopKGroup, s.VocabSize = 16, 4, 256, 1, 1, 8192
	m.HiddenSize, m.NumHiddenLayers, m.FirstKDenseReplace, m.IntermediateSize = 1024, 18, 1, 4096
	m.NumAttentionHeads, m.QLoRARank, m.NRoutedExperts, m.MoEIntermediateSize = 16, 768, 64, 512
	m.NumExpertsPerTok, m.NSharedExperts, m.NGroup, m.TopKGroup, m.VocabSize = 6, 2, 1, 1, 32768
	for _, c := range []struct {
		name             string
		cfg              *config.Config
		total, activated float64
	}{{"S", s, 30.0e6, 11.4e6}, {"M", m, 1.99e9, 0.40e9}} {
		p := Count(c.cfg)
		if math.Abs(float64(p.Total)/c.total-1) > 0.01 || math.Abs(float64(p.ActivatedWithoutEmbedding())/c.activated-1) > 0.02 {
			t.Errorf("%s: %d parameters, %d activated", c.name, p.Total, p.ActivatedWithoutEmbedding())
		}
	}
	if got := TrainingFLOPs(s, 512); math.Abs(got/76e6-1) > 0.01 {
		t.Errorf("S takes %.1f MFLOP a token", got/1e6)
	}
}

func TestTiedTableCountsOnce(t *testing.T) {
	c := load(t, "v2-lite")
	untied := Count(c)
	c.TieWordEmbeddings = true
	tied := Count(c)
	if tied.Total != untied.Total-untied.Head || tied.ActivatedWithoutEmbedding() != untied.ActivatedWithoutEmbedding() {
		t.Errorf("tied %+v, untied %+v", tied, untied)
	}
}

func TestParamsStopsWhenAsked(t *testing.T) {
	n := 0
	for range Params(load(t, "v3")) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d tensors", n)
	}
}
