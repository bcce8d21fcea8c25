package cost

import "sprat/config"

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
	MTP       int64 `json:"mtp"`   // not in Total; without the embedding and head that they share

	inactive    int64 // routed experts that a token does not choose
	mtpInactive int64
}

// Count sums the table.
func Count(c *config.Config) Parameters {
	var p Parameters
	for _, part := range parts(c) {
		one := part.elements()
		n, idle := one*int64(max(part.copies, 1)), one*int64(part.copies-part.active)
		if part.mtp {
			p.MTP += n
			p.mtpInactive += idle
			continue
		}
		p.Total += n
		p.inactive += idle
		*p.group(part.group) += n
	}
	return p
}

// elements counts the numbers in one copy.
func (p part) elements() int64 {
	sum := int64(0)
	for _, t := range p.tensors {
		sum += t.elements()
	}
	return sum
}

func (t tensor) elements() int64 {
	n := int64(1)
	for _, d := range t.shape {
		n *= int64(d)
	}
	return n
}

func (p *Parameters) group(g group) *int64 {
	return [...]*int64{
		embedding: &p.Embedding, head: &p.Head, norms: &p.Norms, attention: &p.Attention,
		dense: &p.Dense, gate: &p.Gate, routed: &p.Routed, shared: &p.Shared,
	}[g]
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

// ActivatedLayers counts neither embedding nor head.
func (p Parameters) ActivatedLayers() int64 { return p.Activated() - p.Embedding - p.Head }

// MTPActivated is what a token uses in the MTP modules, embedding and head apart.
func (p Parameters) MTPActivated() int64 { return p.MTP - p.mtpInactive }

// MTPCopies is the number of parameters that published checkpoints store again in their MTP layers, where each has embedding
// and head as embed_tokens and shared_head.head.
func MTPCopies(c *config.Config) int64 {
	return 2 * int64(c.NumNextNPredictLayers) * int64(c.VocabSize) * int64(c.HiddenSize)
}
