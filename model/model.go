// Package model is DeepSeek-V2 and V3 as their reports write them, and nothing else: no files, no flags.
// Read it in the papers' order: mla.go, gate.go, moe.go, block.go, mtp.go, and last this file and step.go,
// which put the parts together for training; packed.go, infer.go and mla_absorbed.go are the model as it is run, attention in both
// forms over a cache of latents. gqa.go is what MLA is compared with, clip.go what Muon needs.
//
// Shapes:
//
//	T  rows, the tokens of a batch      D  hidden_size             H  num_attention_heads
//	C  kv_lora_rank                     R  qk_rope_head_dim        N  qk_nope_head_dim      V  v_head_dim
//	Q  q_lora_rank                      E  n_routed_experts        K  num_experts_per_tok   F  moe_intermediate_size
//
// Names: exported ones take the Hugging Face word, locals the papers' symbol.
//
//	q_a_proj W_DQ   q_b_proj W_UQ, W_QR   kv_a_proj_with_mqa W_DKV, W_KR   kv_b_proj W_UK, W_UV   o_proj W_O   eh_proj M_k
package model

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/nn"
	"sprat/safetensors"
	"sprat/tensor"
)

// Model is the whole: embedding, decoder layers, final norm, head, and the MTP modules.
type Model struct {
	Config    *config.Config
	Embedding nn.Embedding
	Blocks    []*Block
	Norm      nn.RMSNorm
	Head      nn.Linear // shares the embedding's table where the config ties them
	MTP       []*MTP

	dev       device.Device
	precision device.Precision // of the head
	recompute bool
	rope      nn.RoPE
	params    []*tensor.Param
	layers    []*Block    // Blocks, then those of the MTP modules
	loads     [][]float32 // [E] for each mixture of experts: space for UpdateBiases
	top       []float32   // [H] space for ClipQK
}

// Options say what a model is made for.
type Options struct {
	Train     bool             // with gradients
	Recompute bool             // keep layers' inputs alone for Backward and compute the rest again: less memory, a third more work
	Precision device.Precision // of the products
	Positions int              // the longest sequence; 0 is the config's max_position_embeddings
}

// New allocates a model with zero weights. Fill them with Init or Load.
func New(cfg *config.Config, dev device.Device, opt Options) *Model {
	positions := opt.Positions
	if positions == 0 {
		positions = cfg.MaxPositionEmbeddings
	}
	b := &nn.Builder{Dev: dev, Precision: opt.Precision, Train: opt.Train}
	m := &Model{Config: cfg, dev: dev, precision: opt.Precision.Core(), recompute: opt.Recompute, top: make([]float32, cfg.NumAttentionHeads)}
	m.rope = nn.NewRoPE(dev, cfg.RoPEFrequencies(), cfg.RoPEMagnitude(), positions)
	m.Embedding = b.Embedding("model.embed_tokens.weight", cfg.VocabSize, cfg.HiddenSize)
	for i := range cfg.NumHiddenLayers {
		m.Blocks = append(m.Blocks, newBlock(b, cfg, i, m.rope))
	}
	m.Norm = b.RMSNorm("model.norm.weight", cfg.HiddenSize, cfg.RMSNormEps)
	if cfg.TieWordEmbeddings {
		m.Head = m.Embedding.Head(opt.Precision.Core())
	} else {
		m.Head = b.Linear("lm_head.weight", cfg.VocabSize, cfg.HiddenSize).Core()
	}
	for k := 1; k <= cfg.NumNextNPredictLayers; k++ {
		m.MTP = append(m.MTP, newMTP(b, cfg, k, m.Embedding, m.rope))
	}
	m.params = b.Params
	m.layers = slices.Clone(m.Blocks)
	for _, d := range m.MTP {
		m.layers = append(m.layers, d.Block)
	}
	for _, l := range m.layers {
		if l.MoE != nil {
			l.MoE.Gate.mixture = len(m.loads)
			m.loads = append(m.loads, make([]float32, cfg.NRoutedExperts))
		}
	}
	return m
}

// Params is every parameter under its Hugging Face key, the gate's bias included.
func (m *Model) Params() iter.Seq[*tensor.Param] { return slices.Values(m.params) }

// Positions is the longest sequence that the model was made for.
func (m *Model) Positions() int { return m.rope.Positions() }

// Init draws the weights: norms are 1, the gate's bias 0, and matrices normal with the given standard deviation. The same
// seed gives the same weights.
func (m *Model) Init(seed uint64, std float64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, p := range m.params {
		w := make([]float32, p.W.Rows*p.W.Cols)
		for i := range w {
			switch {
			case p.IsMatrix():
				w[i] = float32(rng.NormFloat64() * std)
			case !p.Frozen:
				w[i] = 1
			}
		}
		m.dev.Upload(p.W, w)
	}
}

// InitStd is V3's standard deviation, 0.006 at a width of 7168, for another width: the variance of a product's output stays
// the same when it goes with one over the width.
func InitStd(hidden int) float64 { return 0.006 * math.Sqrt(7168/float64(hidden)) }

// Weights is where Load reads from: a safetensors.Reader is one.
type Weights interface {
	Info(name string) (safetensors.Info, bool)
	ReadFloat32(name string, dst []float32) error
}

// CheckWeights says what w lacks for the model of cfg, or has in another shape. Asked before New, it keeps a config from
// claiming more memory than its weights justify.
func CheckWeights(cfg *config.Config, w Weights) error {
	missing, first := 0, ""
	for name, shape := range cost.Params(cfg) {
		info, ok := w.Info(name)
		switch {
		case !ok && missing == 0:
			missing, first = 1, name
		case !ok:
			missing++
		case !slices.Equal(info.Shape, shape):
			return fmt.Errorf("tensor %s has shape %v, but config.json asks for %v: weights and config are of different models", name, info.Shape, shape)
		}
		if missing > maxMissing {
			break
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d or more of the tensors are missing, the first is %s: the download is incomplete, or config.json is of another model", missing, first)
	}
	return nil
}

// maxMissing is the number of missing tensors after which CheckWeights gives up.
const maxMissing = 1000

// Load fills every parameter from w, which CheckWeights has passed.
func (m *Model) Load(w Weights) error {
	var buf []float32
	for _, p := range m.params {
		buf = slices.Grow(buf[:0], p.W.Rows*p.W.Cols)[:p.W.Rows*p.W.Cols]
		if err := w.ReadFloat32(p.Name, buf); err != nil {
			return err
		}
		m.dev.Upload(p.W, buf)
	}
	return nil
}

// Batch is sequences laid end to end. Positions count from 0 in each, and no sequence sees another.
type Batch struct {
	IDs     []int32 // [T]
	Targets []int32 // [T] the token that follows, negative where the loss leaves it out; nil where there is no loss
	Starts  []int32 // sequence b is IDs[Starts[b]:Starts[b+1]]
	// Experts, by mixture, are those that each row goes to, [T·K], negative for the gate to choose: routing replay. Mixtures that are
	// not in it, those of MTP modules among them, choose.
	Experts [][]int32
}

// Check says what is wrong with b, if anything.
func (b Batch) Check(vocab, positions int) error {
	if len(b.Starts) < 2 || b.Starts[0] != 0 || int(b.Starts[len(b.Starts)-1]) != len(b.IDs) {
		return errors.New("batch: starts must run from 0 to the number of tokens")
	}
	for i, s := range b.Starts[1:] {
		if n := int(s) - int(b.Starts[i]); n < 1 || n > positions {
			return fmt.Errorf("batch: sequence %d has %d tokens; the model takes 1 to %d", i, n, positions)
		}
	}
	if b.Targets != nil && len(b.Targets) != len(b.IDs) {
		return fmt.Errorf("batch: %d tokens and %d targets", len(b.IDs), len(b.Targets))
	}
	for i, id := range b.IDs {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("batch: token id %d at position %d is not in the vocabulary of %d", id, i, vocab)
		}
	}
	for i, id := range b.Targets {
		if int(id) >= vocab {
			return fmt.Errorf("batch: target id %d at position %d is not in the vocabulary of %d", id, i, vocab)
		}
	}
	return nil
}

// Device is where the model lives.
func (m *Model) Device() device.Device { return m.dev }
