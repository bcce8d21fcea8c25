package nn

import (
	"fmt"

	"sprat/device"
	"sprat/tensor"
)

// Experts are E SwiGLU layers of width F, of which routing picks some for each token. They lie fused, gate and up as
// [E·2F, D] and down as [E·D, F]; the checkpoint's parameters are views of that.
type Experts struct {
	GateUp, DGateUp tensor.Mat // [E·2F, D]
	Down, DDown     tensor.Mat // [E·D, F]
	dev             device.Device
	precision       device.Precision
	width           int // F
}

// Experts makes the parameters prefix.J.{gate,up,down}_proj.weight for J in [0, n).
func (b *Builder) Experts(prefix string, n, d, f int) *Experts {
	e := &Experts{dev: b.Dev, precision: b.Precision, width: f}
	e.GateUp, e.DGateUp = b.storage(n*2*f, d)
	e.Down, e.DDown = b.storage(n*d, f)
	for j := range n {
		b.view(fmt.Sprintf("%s.%d.gate_proj.weight", prefix, j), e.GateUp, e.DGateUp, j*2*f, j*2*f+f)
		b.view(fmt.Sprintf("%s.%d.up_proj.weight", prefix, j), e.GateUp, e.DGateUp, j*2*f+f, (j+1)*2*f)
		b.view(fmt.Sprintf("%s.%d.down_proj.weight", prefix, j), e.Down, e.DDown, j*d, (j+1)*d)
	}
	return e
}

// NewSaved allocates for slots (token, choice) pairs.
func (e *Experts) NewSaved(slots int) device.ExpertsSaved {
	return device.ExpertsSaved{
		X:      e.dev.Alloc(slots, e.GateUp.Cols, tensor.F32),
		GateUp: e.dev.Alloc(slots, 2*e.width, tensor.F32),
		Act:    e.dev.Alloc(slots, e.width, tensor.F32),
	}
}

// Forward adds Σ_k weight_k·expert_k(x) to y.
func (e *Experts) Forward(y, x tensor.Mat, r device.Routing, s device.ExpertsSaved) {
	e.dev.Experts(y, x, e.GateUp, e.Down, r, s, e.precision)
}

// Backward adds to dx and the weights' gradients, and overwrites dweight [T, K].
func (e *Experts) Backward(dx, dweight, dy tensor.Mat, r device.Routing, s device.ExpertsSaved) {
	e.dev.ExpertsBackward(dx, e.DGateUp, e.DDown, dweight, dy, e.GateUp, e.Down, r, s, e.precision)
}
