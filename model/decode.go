package model

import (
	"fmt"

	"sprat/cost"
	"sprat/tensor"
)

// Latents is one sequence's context in compressed form: for every layer, rows of [normed cKV | turned kR]. With GQA, which
// compresses nothing, rows hold keys and values.
type Latents struct {
	Layers []tensor.Mat // [positions, C+R]; GQA: [positions, G·2P]
	Len    int          // rows in use
}

// NewLatents allocates for up to positions tokens.
func (m *Model) NewLatents(positions int) *Latents {
	c, width := &Latents{}, int(cost.CacheElements(m.Config))/m.Config.NumHiddenLayers
	for range m.Blocks {
		c.Layers = append(c.Layers, m.dev.Alloc(positions, width, tensor.F32))
	}
	return c
}

// Decoder is the space for passes over t new tokens in the absorbed form.
type Decoder struct {
	state    *State
	absorbed absorbedSaved
	logits   tensor.Mat // [1, vocab]
}

// NewDecoder allocates for chunks of t tokens.
func (m *Model) NewDecoder(t int) *Decoder {
	return &Decoder{
		state:    m.NewState(t, false),
		absorbed: m.Blocks[0].newAbsorbed(t),
		logits:   m.dev.Alloc(1, m.Config.VocabSize, tensor.F32),
	}
}

// Decode appends ids, of the decoder's chunk length, to c and writes to logits [vocab] those of the token after the last.
func (m *Model) Decode(d *Decoder, c *Latents, ids []int32, logits []float32) error {
	s, past := d.state, c.Len
	if room := min(c.Layers[0].Rows, m.Positions()); past+len(ids) > room {
		return fmt.Errorf("context is full: %d tokens and %d more do not fit in %d", past, len(ids), room)
	}
	for i := range ids {
		s.ints[i] = int32(past + i)
	}
	m.dev.UploadInts(s.rows.pos, s.ints)
	m.dev.UploadInts(s.rows.ids, ids)
	m.Embedding.Forward(s.x[0], s.rows.ids)
	for i, l := range m.Blocks {
		l.ForwardAbsorbed(s.x[i+1], s.x[i], &s.rows, c.Layers[i], past, &s.blocks[i], &d.absorbed)
	}
	last := len(ids) - 1
	m.Norm.Forward(s.norm, s.rstd, s.x[len(m.Blocks)])
	m.Head.Forward(d.logits, s.norm.RowSlice(last, last+1))
	m.dev.Read(logits, d.logits)
	c.Len += len(ids)
	return nil
}
