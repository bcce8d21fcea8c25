package cpu

import (
	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// routed is what the products over slots share: expert e's slots are rows [start[e], start[e+1]).
type routed struct {
	t, k, d, e, f int
	start         []int32
	slot, token   ints
}

func wantExperts(op string, x, gateUp, down tensor.Mat, r device.Routing, s device.ExpertsSaved) routed {
	n := routed{t: x.Rows, d: x.Cols, k: r.Index.Cols, e: r.Start.Cols - 1, f: down.Cols}
	wantRouting(op, r, n.t, n.e, n.k)
	want(op, "gateUp", gateUp, n.e*2*n.f, n.d)
	want(op, "down", down, n.e*n.d, n.f)
	want(op, "saved X", s.X, n.t*n.k, n.d)
	want(op, "saved GateUp", s.GateUp, n.t*n.k, 2*n.f)
	want(op, "saved Act", s.Act, n.t*n.k, n.f)
	if n.t > 0 {
		n.start, n.slot, n.token = viewInts(r.Start).row(0), viewInts(r.Slot), viewInts(r.Token)
	}
	return n
}

// eachExpert puts one product for each expert that has slots onto the list.
func (d *Device) eachExpert(n *routed, product func(e, lo, slots int) kernel.Product) {
	d.products = d.products[:0]
	for e := range n.e {
		if lo, hi := int(n.start[e]), int(n.start[e+1]); hi > lo {
			d.products = append(d.products, product(e, lo, hi-lo))
		}
	}
}

// expertsLinear computes y = x·w_eᵀ for each expert's rows of x; w_e are the out rows of w from e·out on.
func (d *Device) expertsLinear(n *routed, y, x, w matrix, out int, p device.Precision) {
	d.eachExpert(n, func(e, lo, slots int) kernel.Product {
		return kernel.Product{M: slots, N: out, K: x.cols,
			A: x.from(lo, 0), LDA: x.stride, B: w.from(e*out, 0), LDB: w.stride, C: y.from(lo, 0), LDC: y.stride}
	})
	d.gemm(kernel.NT, p)
}

// expertsInput computes dx = dy·w_e.
func (d *Device) expertsInput(n *routed, dx, dy, w matrix, p device.Precision) {
	d.eachExpert(n, func(e, lo, slots int) kernel.Product {
		return kernel.Product{M: slots, N: w.cols, K: dy.cols,
			A: dy.from(lo, 0), LDA: dy.stride, B: w.from(e*dy.cols, 0), LDB: w.stride, C: dx.from(lo, 0), LDC: dx.stride}
	})
	d.gemm(kernel.NN, p)
}

// expertsWeight adds dyᵀ·x to dw_e.
func (d *Device) expertsWeight(n *routed, dw, dy, x matrix, p device.Precision) {
	d.eachExpert(n, func(e, lo, slots int) kernel.Product {
		return kernel.Product{M: dy.cols, N: x.cols, K: slots,
			A: dy.from(lo, 0), LDA: dy.stride, B: x.from(lo, 0), LDB: x.stride, C: dw.from(e*dy.cols, 0), LDC: dw.stride,
			Accumulate: true}
	})
	d.gemm(kernel.TN, p)
}

// Experts implements device.Device.
func (d *Device) Experts(y, x, gateUp, down tensor.Mat, r device.Routing, s device.ExpertsSaved, p device.Precision) {
	want("Experts", "x", x, x.Rows, x.Cols)
	want("Experts", "y", y, x.Rows, x.Cols)
	n := wantExperts("Experts", x, gateUp, down, r, s)
	if n.t == 0 {
		return
	}
	d.gather(view(s.X), view(x), &n)
	d.expertsLinear(&n, view(s.GateUp), view(s.X), view(gateUp), 2*n.f, p)
	j := &d.jobs.activate
	*j = activateJob{spanOf(n.t, 2*n.f*n.k), view(s.Act), view(s.GateUp), view(r.Weight), n.slot}
	d.pool.Run(j, j.parts())
	out := dense(grow(&d.slots, n.t*n.k*n.d), n.t*n.k, n.d)
	d.expertsLinear(&n, out, view(s.Act), view(down), n.d, p)
	d.scatter(view(y), out, &n)
}

// ExpertsBackward implements device.Device.
//
//	dDown_e += dyᵀ·act    dact = dy·down_e    dweight = dact·(silu(gate) ⊙ up)    dGateUp_e += dguᵀ·x    dx += dgu·gateUp_e
func (d *Device) ExpertsBackward(dx, dGateUp, dDown, dweight, dy, gateUp, down tensor.Mat, r device.Routing, s device.ExpertsSaved, p device.Precision) {
	const op = "ExpertsBackward"
	want(op, "dy", dy, dy.Rows, dy.Cols)
	n := wantExperts(op, dy, gateUp, down, r, s)
	optional(op, "dx", dx, n.t, n.d)
	optional(op, "dGateUp", dGateUp, n.e*2*n.f, n.d)
	optional(op, "dDown", dDown, n.e*n.d, n.f)
	optional(op, "dweight", dweight, n.t, n.k)
	if n.t == 0 {
		return
	}
	slots := n.t * n.k
	dout := dense(grow(&d.slots, slots*n.d), slots, n.d)
	dact := dense(grow(&d.dAct, slots*n.f), slots, n.f)
	dgu := dense(grow(&d.dGateUp, slots*2*n.f), slots, 2*n.f)

	d.gather(dout, view(dy), &n)
	if !dDown.IsZero() {
		d.expertsWeight(&n, view(dDown), dout, view(s.Act), p)
	}
	d.expertsInput(&n, dact, dout, view(down), p)
	j := &d.jobs.actBackward
	*j = activateBackwardJob{spanOf(n.t, 2*n.f*n.k), dgu, view(dweight), dact, view(s.GateUp), view(r.Weight), n.slot}
	d.pool.Run(j, j.parts())
	if !dGateUp.IsZero() {
		d.expertsWeight(&n, view(dGateUp), dgu, view(s.X), p)
	}
	if !dx.IsZero() {
		d.expertsInput(&n, dout, dgu, view(gateUp), p)
		d.scatter(view(dx), dout, &n)
	}
}

type gatherJob struct {
	span
	dst, src matrix
	token    ints
}

// gather copies each slot's token.
func (d *Device) gather(dst, src matrix, n *routed) {
	j := &d.jobs.gather
	*j = gatherJob{spanOf(dst.rows, dst.cols), dst, src, n.token}
	d.pool.Run(j, j.parts())
}

// Do copies one part's slots.
func (j *gatherJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		copy(j.dst.row(i), j.src.row(j.token.at(i, 0)))
	}
}

type scatterJob struct {
	span
	dst, src matrix
	slot     ints
}

// scatter adds each token's slots, the best choice first.
func (d *Device) scatter(dst, src matrix, n *routed) {
	j := &d.jobs.scatter
	*j = scatterJob{spanOf(dst.rows, dst.cols*n.k), dst, src, n.slot}
	d.pool.Run(j, j.parts())
}

// Do adds to one part's tokens.
func (j *scatterJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		for _, slot := range j.slot.row(t) {
			kernel.Add(j.dst.row(t), j.src.row(int(slot)))
		}
	}
}

type activateJob struct {
	span
	act, gateUp, weight matrix
	slot                ints
}

// Do computes act = weight · silu(gate) ⊙ up of one part's tokens.
func (j *activateJob) Do(_, part int) {
	f := j.act.cols
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		for k, slot := range j.slot.row(t) {
			act, gu := j.act.row(int(slot)), j.gateUp.row(int(slot))
			kernel.SwiGLU(act, gu[:f], gu[f:], j.weight.row(t)[k])
		}
	}
}

type activateBackwardJob struct {
	span
	dgu, dweight, dact, gateUp, weight matrix
	slot                               ints
}

// Do computes dgu and dweight of one part's tokens.
func (j *activateBackwardJob) Do(_, part int) {
	f := j.dact.cols
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		for k, slot := range j.slot.row(t) {
			dact, gu, dgu := j.dact.row(int(slot)), j.gateUp.row(int(slot)), j.dgu.row(int(slot))
			dweight := kernel.SwiGLUBackward(dgu[:f], dgu[f:], dact, gu[:f], gu[f:], j.weight.row(t)[k])
			if !j.dweight.isZero() {
				j.dweight.row(t)[k] = dweight
			}
		}
	}
}
