package model

import "sprat/tensor"

// Embed and ForwardLayer are a pass in pieces, for those who look at what flows from layer to layer. The batch's length is the
// state's.

// Embed computes the first layer's input x [T, D].
func (m *Model) Embed(s *State, b Batch, x tensor.Mat) {
	m.upload(s, b)
	m.Embedding.Forward(x, s.rows.ids)
}

// ForwardLayer computes layer i's output y [T, D] from its input x.
func (m *Model) ForwardLayer(s *State, b Batch, i int, y, x tensor.Mat) {
	m.upload(s, b)
	m.Blocks[i].Forward(y, x, &s.rows, &s.blocks[i])
}
