package nn

import (
	"sprat/device"
	"sprat/tensor"
)

// MLP is the SwiGLU feed-forward layer: y = W_down (silu(W_gate x) ⊙ W_up x). Gate and up lie in one storage [2F, D], so that one
// product computes both.
type MLP struct {
	GateUp, Down Linear
	dev          device.Device
	width        int // F
}

// MLPSaved is what MLP keeps for Backward.
type MLPSaved struct {
	GateUp tensor.Mat // [T, 2F]
	Act    tensor.Mat // [T, F]
}

// MLP makes a layer with the parameters prefix.{gate,up,down}_proj.weight, of width f over rows of d.
func (b *Builder) MLP(prefix string, d, f int) *MLP {
	w, g := b.storage(2*f, d)
	b.view(prefix+".gate_proj.weight", w, g, 0, f)
	b.view(prefix+".up_proj.weight", w, g, f, 2*f)
	gateUp := Linear{W: w, G: g, dev: b.Dev, precision: b.Precision}
	return &MLP{GateUp: gateUp, Down: b.Linear(prefix+".down_proj.weight", d, f), dev: b.Dev, width: f}
}

// NewSaved allocates for t rows.
func (m *MLP) NewSaved(t int) MLPSaved {
	return MLPSaved{GateUp: m.dev.Alloc(t, 2*m.width, tensor.F32), Act: m.dev.Alloc(t, m.width, tensor.F32)}
}

// Forward adds the layer's output for x to y.
func (m *MLP) Forward(y, x tensor.Mat, s *MLPSaved) {
	m.GateUp.Forward(s.GateUp, x)
	m.dev.SwiGLU(s.Act, s.GateUp)
	m.Down.ForwardAdd(y, s.Act)
}

// Backward adds to dx. d is space for the gradients of what s holds.
func (m *MLP) Backward(dx, dy, x tensor.Mat, s, d *MLPSaved) {
	m.dev.Zero(d.Act)
	m.dev.Zero(d.GateUp)
	m.Down.Backward(d.Act, dy, s.Act)
	m.dev.SwiGLUBackward(d.GateUp, d.Act, s.GateUp)
	m.GateUp.Backward(dx, d.GateUp, x)
}
