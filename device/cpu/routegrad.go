package cpu

import (
	"slices"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// balanceJob counts, for each sequence, how often an expert's score is among a token's K best, and sums f·P.
type balanceJob struct {
	dev    *Device
	spec   device.RouteSpec
	score  matrix
	starts []int32
	f      matrix    // [B, E]
	loss   []float64 // [B] Σ_i f_i P_i; nil where it is not asked for
}

// balance fills d.counts with f, and d.partials with Σ_i f_i P_i.
func (d *Device) balance(score tensor.Mat, spec device.RouteSpec, starts []int32) *balanceJob {
	sequences := len(starts) - 1
	d.reserveExperts(spec.Experts)
	f := dense(grow(&d.counts, sequences*spec.Experts), sequences, spec.Experts)
	j := &d.jobs.balance
	*j = balanceJob{d, spec, view(score), starts, f, grow(&d.partials, sequences)}
	d.pool.Run(j, sequences)
	return j
}

// Do does one sequence.
func (j *balanceJob) Do(worker, b int) {
	w, f := &j.dev.workers[worker], j.f.row(b)
	chosen := w.chosen[:j.spec.TopK]
	lo, hi := int(j.starts[b]), int(j.starts[b+1])
	j.loss[b] = 0
	clear(f)
	for t := lo; t < hi; t++ {
		clear(w.taken)
		top(chosen, j.score.row(t), w.taken)
		for _, e := range chosen {
			f[e]++
		}
	}
	if lo == hi {
		return
	}
	length := float64(hi - lo)
	kernel.Scale(f, float32(float64(j.spec.Experts)/(float64(j.spec.TopK)*length)))
	for t := lo; t < hi; t++ {
		s, dot := j.score.row(t), 0.0
		for e, v := range s {
			dot += float64(f[e]) * float64(v)
		}
		if sum := total(s); sum > 0 {
			j.loss[b] += dot / sum / length
		}
	}
}

func total(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return sum
}

// BalanceLoss implements device.Device.
func (d *Device) BalanceLoss(r device.Routing, spec device.RouteSpec, balance float32, starts []int32) float64 {
	wantSpec("BalanceLoss", spec)
	want("BalanceLoss", "score", r.Score, r.Score.Rows, spec.Experts)
	wantStarts("BalanceLoss", starts, r.Score.Rows)
	if len(starts) < 2 || balance == 0 {
		return 0
	}
	loss := 0.0
	for _, l := range d.balance(r.Score, spec, starts).loss {
		loss += l
	}
	return float64(balance) / float64(len(starts)-1) * loss
}

type routeBackwardJob struct {
	span
	dev                     *Device
	spec                    device.RouteSpec
	dlogits, dweight, score matrix
	index                   ints
	balance                 float32
	starts                  []int32
	f                       matrix // [B, E]
}

// RouteBackward implements device.Device. With S = Σ_j s_j over the chosen and c the scaling factor,
//
//	w_k = c·s_k/S           ds_k += c·(dw_k - Σ_j dw_j·s_j/S)/S     (c·dw_k where weights are not normalised)
//	s'_i = s_i/Σ_j s_j      ds_i += (g_i - Σ_j g_j·s'_j)/Σ_j s_j,   g_i = balance/B·f_i/T_b
//	dlogit_i += ds_i·s_i·(1 - s_i) for a sigmoid, s_i·(ds_i - Σ_j ds_j·s_j) for softmax
func (d *Device) RouteBackward(dlogits, dweight tensor.Mat, r device.Routing, spec device.RouteSpec, balance float32, starts []int32) {
	const op = "RouteBackward"
	t := r.Score.Rows
	wantSpec(op, spec)
	wantRouting(op, r, t, spec.Experts, spec.TopK)
	want(op, "dweight", dweight, t, spec.TopK)
	optional(op, "dlogits", dlogits, t, spec.Experts)
	if dlogits.IsZero() || t == 0 {
		return
	}
	d.reserveExperts(spec.Experts)
	j := &d.jobs.routeBackward
	*j = routeBackwardJob{spanOf(t, 8*spec.Experts), d, spec,
		view(dlogits), view(dweight), view(r.Score), viewInts(r.Index), balance, starts, matrix{}}
	if balance != 0 {
		wantStarts(op, starts, t)
		j.f = d.balance(r.Score, spec, starts).f
	}
	d.pool.Run(j, j.parts())
}

// Do adds to one part's rows.
func (j *routeBackwardJob) Do(worker, part int) {
	w := &j.dev.workers[worker]
	e := j.spec.Experts
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		s, ds := j.score.row(t), w.row[:e]
		clear(ds)
		j.weights(ds, j.dweight.row(t), j.index.row(t), s)
		if j.balance != 0 {
			j.balanceLoss(ds, w.row[e:2*e], t)
		}
		dlogits := j.dlogits.row(t)
		if j.spec.Sigmoid {
			for i, v := range s {
				dlogits[i] += ds[i] * v * (1 - v)
			}
			continue
		}
		mean := kernel.Dot(ds, s)
		for i, v := range s {
			dlogits[i] += v * (ds[i] - mean)
		}
	}
}

// weights adds to ds what follows from the chosen experts' weights.
func (j *routeBackwardJob) weights(ds, dw []float32, index []int32, s []float32) {
	factor, mean := j.spec.ScalingFactor, float32(0)
	if j.spec.Normalize {
		sum := chosenSum(index, s)
		if !(sum > 0) {
			return
		}
		for k, e := range index {
			mean += dw[k] * s[e] / sum
		}
		factor /= sum
	}
	for k, e := range index {
		ds[e] += factor * (dw[k] - mean)
	}
}

// balanceLoss adds to ds what follows from the balance loss; g is scratch.
func (j *routeBackwardJob) balanceLoss(ds, g []float32, t int) {
	after, _ := slices.BinarySearch(j.starts, int32(t+1)) // the first start beyond t
	b, s := after-1, j.score.row(t)
	sum := float32(total(s))
	if !(sum > 0) {
		return
	}
	copy(g, j.f.row(b))
	kernel.Scale(g, j.balance/float32(len(j.starts)-1)/float32(j.starts[b+1]-j.starts[b]))
	mean := kernel.Dot(g, s) / sum
	for i := range ds {
		ds[i] += (g[i] - mean) / sum
	}
}
