package main

import (
	"slices"
	"time"

	"sprat/device"
	"sprat/tensor"
)

// timedDevice is a Device that adds up the time of the operations that take most of a training step.
type timedDevice struct {
	device.Device
	spent map[string]time.Duration
}

// timedRow is one operation's part of a step.
type timedRow struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"` // of a step
	Share   float64 `json:"share"`   // of all operations that are timed
}

// reset forgets the times, but keeps the names: counting then allocates nothing.
func (d *timedDevice) reset() {
	for name := range d.spent {
		d.spent[name] = 0
	}
}

// rows are the operations, the longest first.
func (d *timedDevice) rows(steps int) []timedRow {
	var rows []timedRow
	total := time.Duration(0)
	for _, t := range d.spent {
		total += t
	}
	for name, t := range d.spent {
		rows = append(rows, timedRow{name, t.Seconds() / float64(steps), float64(t) / float64(total)})
	}
	slices.SortFunc(rows, func(a, b timedRow) int {
		if a.Seconds > b.Seconds {
			return -1
		}
		return 1
	})
	return rows
}

// since counts an operation that began at start.
func (d *timedDevice) since(name string, start time.Time) {
	d.spent[name] += time.Since(start)
}

func (d *timedDevice) Zero(m tensor.Mat) {
	defer d.since("Zero", time.Now())
	d.Device.Zero(m)
}

func (d *timedDevice) Copy(dst, src tensor.Mat) {
	defer d.since("Copy, Add", time.Now())
	d.Device.Copy(dst, src)
}

func (d *timedDevice) Add(dst, src tensor.Mat) {
	defer d.since("Copy, Add", time.Now())
	d.Device.Add(dst, src)
}

func (d *timedDevice) Linear(y, x, w tensor.Mat, p device.Precision, add bool) {
	defer d.since("Linear", time.Now())
	d.Device.Linear(y, x, w, p, add)
}

func (d *timedDevice) LinearBackward(dx, dw, dy, x, w tensor.Mat, p device.Precision) {
	defer d.since("LinearBackward", time.Now())
	d.Device.LinearBackward(dx, dw, dy, x, w, p)
}

func (d *timedDevice) EmbedBackward(dtable, dx, ids tensor.Mat) {
	defer d.since("EmbedBackward", time.Now())
	d.Device.EmbedBackward(dtable, dx, ids)
}

func (d *timedDevice) RMSNorm(y, rstd, x, w tensor.Mat, eps float32) {
	defer d.since("RMSNorm", time.Now())
	d.Device.RMSNorm(y, rstd, x, w, eps)
}

func (d *timedDevice) RMSNormBackward(dx, dw, dy, x, rstd, w tensor.Mat) {
	defer d.since("RMSNormBackward", time.Now())
	d.Device.RMSNormBackward(dx, dw, dy, x, rstd, w)
}

func (d *timedDevice) RoPE(x tensor.Mat, headDim, off int, pos, cos, sin tensor.Mat, inverse bool) {
	defer d.since("RoPE", time.Now())
	d.Device.RoPE(x, headDim, off, pos, cos, sin, inverse)
}

func (d *timedDevice) SwiGLU(y, gu tensor.Mat) {
	defer d.since("SwiGLU", time.Now())
	d.Device.SwiGLU(y, gu)
}

func (d *timedDevice) SwiGLUBackward(dgu, dy, gu tensor.Mat) {
	defer d.since("SwiGLUBackward", time.Now())
	d.Device.SwiGLUBackward(dgu, dy, gu)
}

func (d *timedDevice) Attention(o, lse, top, q, kv, kR tensor.Mat, starts []int32, h device.Heads) {
	defer d.since("Attention", time.Now())
	d.Device.Attention(o, lse, top, q, kv, kR, starts, h)
}

func (d *timedDevice) AttentionBackward(dq, dkv, dkR, do, q, kv, kR, o, lse tensor.Mat, starts []int32, h device.Heads) {
	defer d.since("AttentionBackward", time.Now())
	d.Device.AttentionBackward(dq, dkv, dkR, do, q, kv, kR, o, lse, starts, h)
}

func (d *timedDevice) Route(r device.Routing, logits, bias tensor.Mat, spec device.RouteSpec) {
	defer d.since("Route", time.Now())
	d.Device.Route(r, logits, bias, spec)
}

func (d *timedDevice) RouteBackward(dlogits, dweight tensor.Mat, r device.Routing, spec device.RouteSpec, balance float32, starts []int32) {
	defer d.since("RouteBackward", time.Now())
	d.Device.RouteBackward(dlogits, dweight, r, spec, balance, starts)
}

func (d *timedDevice) BalanceLoss(r device.Routing, spec device.RouteSpec, balance float32, starts []int32) float64 {
	defer d.since("BalanceLoss", time.Now())
	return d.Device.BalanceLoss(r, spec, balance, starts)
}

func (d *timedDevice) Experts(y, x, gateUp, down tensor.Mat, r device.Routing, s device.ExpertsSaved, p device.Precision) {
	defer d.since("Experts", time.Now())
	d.Device.Experts(y, x, gateUp, down, r, s, p)
}

func (d *timedDevice) ExpertsBackward(dx, dGateUp, dDown, dweight, dy, gateUp, down tensor.Mat, r device.Routing, s device.ExpertsSaved, p device.Precision) {
	defer d.since("ExpertsBackward", time.Now())
	d.Device.ExpertsBackward(dx, dGateUp, dDown, dweight, dy, gateUp, down, r, s, p)
}

func (d *timedDevice) HeadLoss(loss, dx, dw, x, w, targets, weights tensor.Mat, scale float32, p device.Precision) {
	defer d.since("HeadLoss", time.Now())
	d.Device.HeadLoss(loss, dx, dw, x, w, targets, weights, scale, p)
}

func (d *timedDevice) SumSquares(m tensor.Mat) float64 {
	defer d.since("SumSquares", time.Now())
	return d.Device.SumSquares(m)
}

func (d *timedDevice) AdamW(w, m, v, g tensor.Mat, s device.AdamWStep) {
	defer d.since("AdamW", time.Now())
	d.Device.AdamW(w, m, v, g, s)
}
