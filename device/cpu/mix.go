package cpu

import (
	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// mixed is what MixExperts keeps between its products: expert e's slots are rows [start[e], start[e+1]) of gateUp and out, and the shared
// expert's rows come after all slots.
type mixed struct {
	routed
	s                        int // the shared expert's width; 0 is none
	gateUp, down             *weight
	sharedGateUp, sharedDown *weight

	index              []int32     // the slots' tokens
	rows, sharedRows   kernel.Rows // of x, for either's format
	gu, sharedGU       matrix      // [T·K, 2F], [T, 2S]
	guData, sharedData []float32
	acts, sharedActs   kernel.Rows
	scratch            []worker
}

// MixExperts implements device.Inference. It is five jobs for the workers, and at one row, where the rest is too little to share, the two
// that read weights.
func (d *Device) MixExperts(y, x tensor.Mat, gateUp, down, sharedGateUp, sharedDown device.Weight, r device.Routing) {
	m := &d.mixed
	m.scratch = d.workers
	m.set(y, x, gateUp, down, sharedGateUp, sharedDown, r)
	if m.t == 0 {
		return
	}
	d.mixUp(view(x))
	j := &d.jobs.activateRows
	*j = activateRowsJob{spanOf(m.t, 2*(m.k*m.f+m.s)), m, view(r.Weight)}
	d.pool.Run(j, j.parts())
	d.mixDown(view(y))
	m.gateUp, m.down, m.sharedGateUp, m.sharedDown = nil, nil, nil, nil // let go of the weights
}

// mixUp computes gate and up of all slots and of the shared expert.
func (d *Device) mixUp(x matrix) {
	m := &d.mixed
	slots := m.t * m.k
	d.setRows(&m.rows, x, m.gateUp)
	m.gu = dense(grow(&m.guData, slots*2*m.f), slots, 2*m.f)
	d.weights = d.weights[:0]
	if m.s > 0 {
		rows := &m.rows
		if !rows.Fits(m.sharedGateUp.Weight.Format()) {
			rows = d.setRows(&m.sharedRows, x, m.sharedGateUp)
		}
		m.sharedGU = dense(grow(&m.sharedData, m.t*2*m.s), m.t, 2*m.s)
		d.weights = append(d.weights, kernel.WeightProduct{M: m.t, A: rows, W: &m.sharedGateUp.Weight, C: m.sharedGU.data, LDC: 2 * m.s})
	}
	for e := range m.e {
		if lo, hi := int(m.start[e]), int(m.start[e+1]); hi > lo {
			d.weights = append(d.weights, kernel.WeightProduct{M: hi - lo, A: &m.rows, Index: m.index[lo:hi],
				W: &m.gateUp.Weight, Part: e, C: m.gu.from(lo, 0), LDC: 2 * m.f})
		}
	}
	d.multiply()
	m.acts.Reset(m.down.Weight.Format(), slots, m.f)
	if m.s > 0 {
		m.sharedActs.Reset(m.sharedDown.Weight.Format(), m.t, m.s)
	}
	for i := range d.workers {
		grow(&d.workers[i].row, max(m.f, m.s))
	}
}

// activateRowsJob computes the rows that down is multiplied with: weight · silu(gate) ⊙ up of each slot, and the shared expert's.
type activateRowsJob struct {
	span
	m      *mixed
	weight matrix
}

// Do computes those of one part's tokens.
func (j *activateRowsJob) Do(worker, part int) {
	m := j.m
	row := m.scratch[worker].row
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		for k, slot := range m.slot.row(t) {
			gu := m.gu.row(int(slot))
			kernel.SwiGLU(row[:m.f], gu[:m.f], gu[m.f:], j.weight.row(t)[k])
			m.acts.Set(int(slot), row[:m.f])
		}
		if m.s > 0 {
			gu := m.sharedGU.row(t)
			kernel.SwiGLU(row[:m.s], gu[:m.s], gu[m.s:], 1)
			m.sharedActs.Set(t, row[:m.s])
		}
	}
}

// mixDown adds the shared expert's result to y, and then each token's slots, the best choice first.
func (d *Device) mixDown(y matrix) {
	m := &d.mixed
	out := dense(grow(&d.slots, m.t*m.k*m.d), m.t*m.k, m.d)
	d.weights = d.weights[:0]
	if m.s > 0 {
		d.weights = append(d.weights, kernel.WeightProduct{M: m.t, A: &m.sharedActs, W: &m.sharedDown.Weight, C: y.data, LDC: y.stride, Accumulate: true})
	}
	for e := range m.e {
		if lo, hi := int(m.start[e]), int(m.start[e+1]); hi > lo {
			d.weights = append(d.weights, kernel.WeightProduct{M: hi - lo, A: &m.acts, First: lo, W: &m.down.Weight, Part: e, C: out.from(lo, 0), LDC: m.d})
		}
	}
	d.multiply()
	d.scatter(y, out, &m.routed)
}

// set checks the arguments and takes them in.
func (m *mixed) set(y, x tensor.Mat, gateUp, down, sharedGateUp, sharedDown device.Weight, r device.Routing) {
	const op = "MixExperts"
	want(op, "x", x, x.Rows, x.Cols)
	want(op, "y", y, x.Rows, x.Cols)
	m.routed = routed{t: x.Rows, d: x.Cols, k: r.Index.Cols, e: r.Start.Cols - 1}
	wantRouting(op, r, m.t, m.e, m.k)
	m.down = weightOf(op, "down", down, m.e, m.d, -1)
	_, _, m.f = m.down.Shape()
	m.gateUp = weightOf(op, "gateUp", gateUp, m.e, 2*m.f, m.d)
	m.s, m.sharedGateUp, m.sharedDown = 0, nil, nil
	if sharedGateUp != nil || sharedDown != nil {
		m.sharedDown = weightOf(op, "sharedDown", sharedDown, 1, m.d, -1)
		_, _, m.s = m.sharedDown.Shape()
		m.sharedGateUp = weightOf(op, "sharedGateUp", sharedGateUp, 1, 2*m.s, m.d)
	}
	if m.t > 0 {
		m.start, m.slot, m.token = viewInts(r.Start).row(0), viewInts(r.Slot), viewInts(r.Token)
		for i := range grow(&m.index, m.t*m.k) {
			m.index[i] = int32(m.token.at(i, 0))
		}
	}
}
