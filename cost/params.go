// Package cost says what a model weighs and what it takes to run: parameters, bytes and floating-point operations, as pure
// functions of its config. There is one table, Params, of every tensor; the counts are sums over it, and the model's own
// parameters are tested against it.
//
// Units: FLOPs count a multiply-add as two. "Activated" parameters are those that one token's pass uses; whether the embedding
// and the head count is said each time.
package cost

import (
	"fmt"
	"iter"
	"strings"

	"sprat/config"
)

// Params yields every parameter of a checkpoint under its Hugging Face name, with its shape [out, in], in the order of the
// layers. The MTP modules are the layers from num_hidden_layers on; their copies of embedding and head are not there.
func Params(c *config.Config) iter.Seq2[string, []int] {
	return func(yield func(string, []int) bool) {
		t := table{c: c, yield: yield}
		t.add("model.embed_tokens.weight", c.VocabSize, c.HiddenSize)
		for i := range c.NumHiddenLayers {
			t.layer(i)
		}
		t.add("model.norm.weight", c.HiddenSize)
		if !c.TieWordEmbeddings {
			t.add("lm_head.weight", c.VocabSize, c.HiddenSize)
		}
		for k := range c.NumNextNPredictLayers {
			i := c.NumHiddenLayers + k
			p := prefix(i)
			t.add(p+"enorm.weight", c.HiddenSize)
			t.add(p+"hnorm.weight", c.HiddenSize)
			t.add(p+"eh_proj.weight", c.HiddenSize, 2*c.HiddenSize)
			t.layer(i)
			t.add(p+"shared_head.norm.weight", c.HiddenSize)
		}
	}
}

func prefix(layer int) string { return fmt.Sprintf("model.layers.%d.", layer) }

// table yields tensors until it is told to stop.
type table struct {
	c     *config.Config
	yield func(string, []int) bool
	done  bool
}

func (t *table) add(name string, shape ...int) {
	t.done = t.done || !t.yield(name, shape)
}

func (t *table) layer(i int) {
	c, p := t.c, prefix(i)
	d, heads := c.HiddenSize, c.NumAttentionHeads
	t.add(p+"input_layernorm.weight", d)
	if c.QLoRARank == 0 {
		t.add(p+"self_attn.q_proj.weight", heads*c.QKHeadDim(), d)
	} else {
		t.add(p+"self_attn.q_a_proj.weight", c.QLoRARank, d)
		t.add(p+"self_attn.q_a_layernorm.weight", c.QLoRARank)
		t.add(p+"self_attn.q_b_proj.weight", heads*c.QKHeadDim(), c.QLoRARank)
	}
	t.add(p+"self_attn.kv_a_proj_with_mqa.weight", c.KVLoRARank+c.QKRoPEHeadDim, d)
	t.add(p+"self_attn.kv_a_layernorm.weight", c.KVLoRARank)
	t.add(p+"self_attn.kv_b_proj.weight", heads*(c.QKNoPEHeadDim+c.VHeadDim), c.KVLoRARank)
	t.add(p+"self_attn.o_proj.weight", d, heads*c.VHeadDim)
	t.add(p+"post_attention_layernorm.weight", d)
	if !c.IsMoE(i) {
		t.mlp(p+"mlp.", c.IntermediateSize)
		return
	}
	t.add(p+"mlp.gate.weight", c.NRoutedExperts, d)
	if c.TopKMethod == "noaux_tc" {
		t.add(p+"mlp.gate.e_score_correction_bias", c.NRoutedExperts)
	}
	for e := 0; e < c.NRoutedExperts && !t.done; e++ {
		t.mlp(fmt.Sprintf("%smlp.experts.%d.", p, e), c.MoEIntermediateSize)
	}
	if c.NSharedExperts > 0 {
		t.mlp(p+"mlp.shared_experts.", c.NSharedExperts*c.MoEIntermediateSize)
	}
}

func (t *table) mlp(p string, width int) {
	t.add(p+"gate_proj.weight", width, t.c.HiddenSize)
	t.add(p+"up_proj.weight", width, t.c.HiddenSize)
	t.add(p+"down_proj.weight", t.c.HiddenSize, width)
}

// Parameters counts a model's parameters, the MTP modules apart.
type Parameters struct {
	Total     int64 `json:"total"`     // embedding, layers, norm and head
	Embedding int64 `json:"embedding"` // the table; also the head where they are tied
	Head      int64 `json:"head"`      // 0 where tied
	Attention int64 `json:"attention"`
	Dense     int64 `json:"dense"`  // the MLPs of dense layers
	Routed    int64 `json:"routed"` // all routed experts
	Shared    int64 `json:"shared"`
	Gate      int64 `json:"gate"`  // with the biases
	Norms     int64 `json:"norms"` // of layers, and the final one; those of the latents count as attention
	MTP       int64 `json:"mtp"`   // not in Total

	inactive    int64 // routed experts that a token does not choose
	mtpInactive int64
}

// Count sums the table.
func Count(c *config.Config) Parameters {
	var p Parameters
	mtp := map[string]bool{}
	for k := range c.NumNextNPredictLayers {
		mtp[prefix(c.NumHiddenLayers+k)] = true
	}
	for name, shape := range Params(c) {
		n := int64(1)
		for _, s := range shape {
			n *= int64(s)
		}
		if mtp[layerPrefix(name)] {
			p.MTP += n
			if strings.Contains(name, ".mlp.experts.") {
				p.mtpInactive += n
			}
			continue
		}
		p.Total += n
		*p.group(name) += n
	}
	if c.NRoutedExperts > 0 {
		idle := int64(c.NRoutedExperts - c.NumExpertsPerTok)
		p.inactive = p.Routed / int64(c.NRoutedExperts) * idle
		p.mtpInactive = p.mtpInactive / int64(c.NRoutedExperts) * idle
	}
	return p
}

// layerPrefix is "model.layers.N." of a name, or "".
func layerPrefix(name string) string {
	rest, ok := strings.CutPrefix(name, "model.layers.")
	if !ok {
		return ""
	}
	n, _, _ := strings.Cut(rest, ".")
	return "model.layers." + n + "."
}

func (p *Parameters) group(name string) *int64 {
	switch {
	case name == "model.embed_tokens.weight":
		return &p.Embedding
	case name == "lm_head.weight":
		return &p.Head
	case strings.Contains(name, ".self_attn."):
		return &p.Attention
	case strings.Contains(name, ".mlp.experts."):
		return &p.Routed
	case strings.Contains(name, ".mlp.shared_experts."):
		return &p.Shared
	case strings.Contains(name, ".mlp.gate."):
		return &p.Gate
	case strings.Contains(name, ".mlp."):
		return &p.Dense
	}
	return &p.Norms
}

// Activated is what one token's pass uses, embedding and head counted.
func (p Parameters) Activated() int64 { return p.Total - p.inactive }

// ActivatedWithoutEmbedding counts the head and not the embedding: what is multiplied for a token. A tied table counts once.
func (p Parameters) ActivatedWithoutEmbedding() int64 {
	if p.Head == 0 {
		return p.Activated()
	}
	return p.Activated() - p.Embedding
}

// MTPActivated is what a token uses in the MTP modules, embedding and head apart.
func (p Parameters) MTPActivated() int64 { return p.MTP - p.mtpInactive }
