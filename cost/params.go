// Package cost says what a model weighs and what it takes to run: parameters, bytes and floating-point operations, as pure
// functions of its config. There is one table, of every tensor: Params shows it, the counts are sums over it, and the model's
// own parameters are tested against it.
//
// How things are counted, with V3's values:
//
//   - Parameters are numbers stored, the gate's bias included and a tied table once: 671,026,419,200. The MTP modules stand
//     apart everywhere, since a model runs without them.
//   - Activated parameters are those that one token's pass uses: K of the E experts, all else in full. With embedding and head
//     that is 37,552,297,472. A token reads one row of the embedding, so "activated" means with the head and without the
//     embedding where nothing else is said: 36,625,618,432.
//   - A multiply-add is two operations. A forward pass has two for each activated parameter, the few of norms and biases
//     (0.003 % of V3's) among them, and attention over half the context, the causal mean. Training is three forward passes;
//     recomputation is not counted, being no use in itself.
//
// config's limits keep every count of a config that passes its Check within an int64.
package cost

import (
	"fmt"
	"iter"

	"sprat/config"
)

// group is the part of the model that a tensor belongs to.
type group int

const (
	embedding group = iota
	head
	norms
	attention
	dense
	gate
	routed
	shared
	mtpExtra // what an MTP module has beside a layer
)

// part is tensors of one group that a checkpoint holds next to each other.
type part struct {
	group   group
	mtp     bool   // of an MTP module
	prefix  string // of the names; with copies it has a %d for a copy's number
	copies  int    // 0: one, without a number
	active  int    // how many of the copies a token's pass uses
	tensors []tensor
}

// tensor is a name and a shape, [out, in] or [n].
type tensor struct {
	name  string
	shape []int
}

// parts is the table, in the order of the layers.
func parts(c *config.Config) []part {
	d := c.HiddenSize
	list := []part{{group: embedding, tensors: []tensor{{"model.embed_tokens.weight", []int{c.VocabSize, d}}}}}
	for i := range c.NumHiddenLayers {
		list = append(list, layer(c, i)...)
	}
	list = append(list, part{group: norms, tensors: []tensor{{"model.norm.weight", []int{d}}}})
	if !c.TieWordEmbeddings {
		list = append(list, part{group: head, tensors: []tensor{{"lm_head.weight", []int{c.VocabSize, d}}}})
	}
	for k := range c.NumNextNPredictLayers {
		i := c.NumHiddenLayers + k
		module := append(layer(c, i), part{group: mtpExtra, prefix: prefix(i), tensors: []tensor{
			{"enorm.weight", []int{d}}, {"hnorm.weight", []int{d}}, {"eh_proj.weight", []int{d, 2 * d}}, {"shared_head.norm.weight", []int{d}},
		}})
		for j := range module {
			module[j].mtp = true
		}
		list = append(list, module...)
	}
	return list
}

func prefix(layer int) string { return fmt.Sprintf("model.layers.%d.", layer) }

func layer(c *config.Config, i int) []part {
	d, p := c.HiddenSize, prefix(i)
	list := []part{
		{group: norms, prefix: p, tensors: []tensor{{"input_layernorm.weight", []int{d}}, {"post_attention_layernorm.weight", []int{d}}}},
		{group: attention, prefix: p + "self_attn.", tensors: attentionOf(c)},
	}
	if !c.IsMoE(i) {
		return append(list, part{group: dense, prefix: p + "mlp.", tensors: mlp(d, c.IntermediateSize)})
	}
	router := []tensor{{"weight", []int{c.NRoutedExperts, d}}}
	if c.TopKMethod == "noaux_tc" {
		router = append(router, tensor{"e_score_correction_bias", []int{c.NRoutedExperts}})
	}
	list = append(list,
		part{group: gate, prefix: p + "mlp.gate.", tensors: router},
		part{
			group: routed, prefix: p + "mlp.experts.%d.", copies: c.NRoutedExperts, active: c.NumExpertsPerTok,
			tensors: mlp(d, c.MoEIntermediateSize),
		})
	if c.NSharedExperts > 0 {
		list = append(list, part{group: shared, prefix: p + "mlp.shared_experts.", tensors: mlp(d, c.NSharedExperts*c.MoEIntermediateSize)})
	}
	return list
}

func attentionOf(c *config.Config) []tensor {
	if c.IsGQA() {
		return gqa(c)
	}
	return mla(c)
}

func gqa(c *config.Config) []tensor {
	d, q, kv := c.HiddenSize, c.NumAttentionHeads*c.HeadDim, c.NumKeyValueHeads*c.HeadDim
	return []tensor{{"q_proj.weight", []int{q, d}}, {"k_proj.weight", []int{kv, d}}, {"v_proj.weight", []int{kv, d}}, {"o_proj.weight", []int{d, q}}}
}

func mla(c *config.Config) []tensor {
	d, heads, latent := c.HiddenSize, c.NumAttentionHeads, c.KVLoRARank
	q := []tensor{{"q_proj.weight", []int{heads * c.QKHeadDim(), d}}}
	if r := c.QLoRARank; r > 0 {
		q = []tensor{{"q_a_proj.weight", []int{r, d}}, {"q_a_layernorm.weight", []int{r}}, {"q_b_proj.weight", []int{heads * c.QKHeadDim(), r}}}
	}
	return append(q,
		tensor{"kv_a_proj_with_mqa.weight", []int{latent + c.QKRoPEHeadDim, d}},
		tensor{"kv_a_layernorm.weight", []int{latent}},
		tensor{"kv_b_proj.weight", []int{heads * (c.QKNoPEHeadDim + c.VHeadDim), latent}},
		tensor{"o_proj.weight", []int{d, heads * c.VHeadDim}})
}

func mlp(d, width int) []tensor {
	return []tensor{{"gate_proj.weight", []int{width, d}}, {"up_proj.weight", []int{width, d}}, {"down_proj.weight", []int{d, width}}}
}

// Params yields every parameter of a checkpoint under its Hugging Face name, with its shape [out, in], in the order of the
// layers. The MTP modules are the layers from num_hidden_layers on; their copies of embedding and head are not there, see
// MTPCopies.
func Params(c *config.Config) iter.Seq2[string, []int] {
	return func(yield func(string, []int) bool) {
		for _, p := range parts(c) {
			for i := range max(p.copies, 1) {
				prefix := p.prefix
				if p.copies > 0 {
					prefix = fmt.Sprintf(p.prefix, i)
				}
				for _, t := range p.tensors {
					if !yield(prefix+t.name, t.shape) {
						return
					}
				}
			}
		}
	}
}
