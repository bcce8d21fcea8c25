package cost

import (
	"math"
	"os"
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

// The counts of published models are those that their reports round: 671 and 37 B, 236 and 21 B, 15.7 and 2.4 B.
func TestPublishedCounts(t *testing.T) {
	for _, c := range []struct {
		name                                      string
		total, activated, headOnly, layers, cache int64
	}{
		{"v3", 671_026_419_200, 37_552_297_472, 36_625_618_432, 35_698_939_392, 70_272},
		{"v2", 235_741_434_880, 21_375_800_320, 20_851_512_320, 20_327_224_320, 69_120},
		{"v2-lite", 15_706_484_224, 2_661_150_208, 2_451_435_008, 2_241_719_808, 31_104},
	} {
		cfg := load(t, c.name)
		p := Count(cfg)
		if p.Total != c.total || p.Activated() != c.activated || p.ActivatedWithoutEmbedding() != c.headOnly || p.ActivatedLayers() != c.layers {
			t.Errorf("%s: total %d, activated %d, %d and %d; want %+v",
				c.name, p.Total, p.Activated(), p.ActivatedWithoutEmbedding(), p.ActivatedLayers(), c)
		}
		if got := CacheBytes(cfg); got != c.cache {
			t.Errorf("%s: %d cache bytes a token, want %d", c.name, got, c.cache)
		}
		if sum := p.Embedding + p.Head + p.Attention + p.Dense + p.Routed + p.Shared + p.Gate + p.Norms; sum != p.Total {
			t.Errorf("%s: the groups sum to %d of %d", c.name, sum, p.Total)
		}
	}
}

// Params and Count go over the table each in its own way.
func TestParamsSumToCount(t *testing.T) {
	for _, name := range []string{"v3", "v2", "v2-lite", "moonlight", "kimi-k2"} {
		c := load(t, name)
		sum := int64(0)
		seen := map[string]bool{}
		for name, shape := range Params(c) {
			if seen[name] {
				t.Fatalf("%s comes twice", name)
			}
			seen[name] = true
			sum += tensor{shape: shape}.elements()
		}
		if p := Count(c); sum != p.Total+p.MTP {
			t.Errorf("%s: Params sum to %d, Count to %d", name, sum, p.Total+p.MTP)
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
		{"MTP with its copies of embedding and head", p.MTP + MTPCopies(load(t, "v3")), 13_463_426_304},
		{"all that is stored", p.Total + p.MTP + MTPCopies(load(t, "v3")), 684_489_845_504},
		{"V2's attention", Count(load(t, "v2")).Attention, 149_227_520 * 60},
		{"V2's routed experts", Count(load(t, "v2")).Routed, 23_592_960 * 160 * 59},
		{"V2-Lite's attention", Count(load(t, "v2-lite")).Attention, 13_763_072 * 27},
		{"V2-Lite's routed experts", Count(load(t, "v2-lite")).Routed, 8_650_752 * 64 * 26},
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

// MTP adds some 10.2 GFLOP to the training of a token: 0.688 B activated parameters and the head.
func TestMTPFLOPs(t *testing.T) {
	const parameters, head, attention = 688_100_608, 926_679_040, 128 * 320 * 4096
	if got, want := 3*MTPForwardFLOPs(load(t, "v3"), 4096), 3.0*(2*(parameters+head)+attention); got != want || math.Abs(got/10.2e9-1) > 0.01 {
		t.Errorf("%.4f GFLOP, want %.4f", got/1e9, want/1e9)
	}
	if got := MTPForwardFLOPs(load(t, "v2"), 4096); got != 0 {
		t.Errorf("V2 has no MTP, but %g FLOP", got)
	}
}

// V3's shards hold 688,574,839,360 bytes of tensors: 688,586,727,753 less their headers. They have 91,991 tensors, a scale for
// each matrix in E4M3 and the MTP layer's two copies among them.
func TestV3Checkpoint(t *testing.T) {
	c := load(t, "v3")
	if got := WeightBytes(c, FP8) + 2*MTPCopies(c); got != 688_574_839_360 {
		t.Errorf("%d bytes", got)
	}
	tensors := 2
	for _, p := range parts(c) {
		for _, t := range p.tensors {
			n := max(p.copies, 1)
			tensors += n
			if t.hasScale(p.group) {
				tensors += n
			}
		}
	}
	if tensors != 91_991 {
		t.Errorf("%d tensors", tensors)
	}
}

func TestWeightBytes(t *testing.T) {
	c := load(t, "v3")
	p := Count(c)
	all, biases := p.Total+p.MTP, int64(59*256)
	if got := WeightBytes(c, F32); got != 4*all {
		t.Errorf("f32: %d bytes for %d parameters", got, all)
	}
	if got := WeightBytes(c, BF16); got != 2*all+2*biases {
		t.Errorf("bf16: %d bytes for %d parameters", got, all)
	}
}

// At the limits of config.Check nothing overflows: int64 sums agree with float64 ones, which have the room.
func TestCountsAtTheLimits(t *testing.T) {
	c := load(t, "v3")
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.FirstKDenseReplace = 1<<24, 1<<18, 1<<10, 0
	c.NumAttentionHeads, c.QLoRARank, c.KVLoRARank = 1<<12, 1<<18, 1<<18
	c.QKNoPEHeadDim, c.QKRoPEHeadDim, c.VHeadDim = 1<<12, 1<<12, 1<<12
	c.NRoutedExperts, c.NumExpertsPerTok, c.NGroup, c.TopKGroup = 1<<13, 1<<13, 1, 1
	c.MoEIntermediateSize, c.NSharedExperts, c.NumNextNPredictLayers = 1<<18, 1<<8, 1<<6
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	for _, field := range []*int{&c.VocabSize, &c.HiddenSize, &c.NumHiddenLayers, &c.NumAttentionHeads, &c.MoEIntermediateSize, &c.NRoutedExperts, &c.NSharedExperts, &c.NumNextNPredictLayers} {
		*field++
		if c.Check() == nil {
			t.Errorf("%d is within the limits: this test is not at them", *field)
		}
		*field--
	}
	sum, bytes := 0.0, 0.0
	for _, p := range parts(c) {
		for _, t := range p.tensors {
			n := float64(max(p.copies, 1))
			for _, d := range t.shape {
				n *= float64(d)
			}
			sum += n
			bytes += 4 * n
		}
	}
	p := Count(c)
	if got := float64(p.Total + p.MTP); math.Abs(got/sum-1) > 1e-9 {
		t.Errorf("%g parameters, want %g", got, sum)
	}
	if got := float64(WeightBytes(c, F32)); math.Abs(got/bytes-1) > 1e-9 {
		t.Errorf("%g bytes, want %g", got, bytes)
	}
}

// FuzzCount: what config accepts has positive counts that fit together.
func FuzzCount(f *testing.F) {
	for _, name := range []string{"v3", "v2-lite"} {
		data, err := os.ReadFile("../config/testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data)
		if err != nil {
			return
		}
		p := Count(c)
		if p.ActivatedLayers() <= 0 || p.ActivatedLayers() >= p.ActivatedWithoutEmbedding() || p.ActivatedWithoutEmbedding() > p.Activated() ||
			p.Activated() > p.Total || p.MTPActivated() < 0 || p.MTPActivated() > p.MTP {
			t.Errorf("%+v", p)
		}
		if b := WeightBytes(c, FP8); b <= 0 || b > WeightBytes(c, BF16)*3 || CacheBytes(c) <= 0 || !(TrainingFLOPs(c, 1<<24) > 0) || MTPForwardFLOPs(c, 1<<24) < 0 {
			t.Errorf("%d bytes, %d of cache, %g and %g FLOP", b, CacheBytes(c), TrainingFLOPs(c, 1<<24), MTPForwardFLOPs(c, 1<<24))
		}
	})
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

// Attention of grouped queries: figures published for caches (arXiv 2505.09343, table 1), and the shapes added up by hand.
func TestGQA(t *testing.T) {
	parse := func(text string) *config.Config {
		c, err := config.Parse([]byte(`{"model_type": "sprat_gqa", "vocab_size": 1000, "intermediate_size": 100, ` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	qwen := parse(`"hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128`)
	llama := parse(`"hidden_size": 16384, "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8, "head_dim": 128`)
	if q, l := CacheBytes(qwen), CacheBytes(llama); q != 327_680 || l != 516_096 {
		t.Errorf("caches of %d and %d bytes a token", q, l)
	}
	if got, want := Count(qwen).Attention, int64(80*(2*8192*8192+2*1024*8192)); got != want {
		t.Errorf("%d parameters of attention, want %d", got, want)
	}
	const context = 4096
	linear := 2 * float64(Count(qwen).ActivatedWithoutEmbedding())
	if got, want := ForwardFLOPs(qwen, context)-linear, 80.0*64*(128+128)*context; got != want {
		t.Errorf("attention takes %g FLOP, want %g", got, want)
	}
}
