package cpu

import (
	"math"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

type routeJob struct {
	span
	dev                   *Device
	spec                  device.RouteSpec
	logits, score, weight matrix
	index                 ints
	bias                  []float32 // nil where there is none
}

// Route implements device.Device.
func (d *Device) Route(r device.Routing, logits, bias tensor.Mat, spec device.RouteSpec) {
	wantSpec("Route", spec)
	wantRouting("Route", r, logits.Rows, spec.Experts, spec.TopK)
	want("Route", "logits", logits, logits.Rows, spec.Experts)
	optional("Route", "bias", bias, 1, spec.Experts)

	if spec.Replay {
		wantChosen("Route", viewInts(r.Index), r.Index.Rows, spec.Experts)
	}
	d.reserveExperts(spec.Experts)
	j := &d.jobs.route
	*j = routeJob{spanOf(logits.Rows, 16*spec.Experts), d, spec,
		view(logits), view(r.Score), view(r.Weight), viewInts(r.Index), nil}
	if !bias.IsZero() {
		j.bias = view(bias).row(0)
	}
	d.pool.Run(j, j.parts())
	d.sortSlots(r, spec)
}

// reserveExperts gives each worker scratch for choosing among e experts.
func (d *Device) reserveExperts(e int) {
	d.reserve(2 * e)
	for i := range d.workers {
		grow(&d.workers[i].taken, e)
		grow(&d.workers[i].chosen, e)
	}
}

// Do routes one part's tokens.
func (j *routeJob) Do(worker, part int) {
	w := &j.dev.workers[worker]
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		s := j.score.row(t)
		if j.spec.Sigmoid {
			kernel.Sigmoid(s, j.logits.row(t))
		} else {
			copy(s, j.logits.row(t))
			kernel.Softmax(s, 1)
		}
		if j.spec.Replay && j.index.at(t, 0) >= 0 {
			weigh(j.weight.row(t), j.index.row(t), s, j.spec)
			continue
		}
		u := w.row[:len(s)]
		copy(u, s)
		if j.bias != nil {
			kernel.Add(u, j.bias)
		}
		clear(w.taken)
		if limited(j.spec) {
			limitGroups(w.taken, u, j.spec)
		}
		top(j.index.row(t), u, w.taken)
		weigh(j.weight.row(t), j.index.row(t), s, j.spec)
	}
}

func limited(s device.RouteSpec) bool { return s.Groups > 1 && s.TopGroups != s.Groups }

// limitGroups takes the experts of all but the best TopGroups groups. It marks them instead of lowering their u, so that no
// value of u, -Inf and NaN included, brings one back.
func limitGroups(taken []bool, u []float32, s device.RouteSpec) {
	n := len(u) / s.Groups
	for i := range taken {
		taken[i] = true
	}
	for range s.TopGroups {
		best, bestSum := -1, float32(0)
		for g := range s.Groups {
			if !taken[g*n] {
				continue // kept already
			}
			if sum := groupScore(u[g*n:(g+1)*n], s.GroupTop2); best < 0 || sum > bestSum {
				best, bestSum = g, sum
			}
		}
		clear(taken[best*n : (best+1)*n])
	}
}

// groupScore is the largest u of a group, or the sum of the two largest.
func groupScore(u []float32, top2 bool) float32 {
	first, second := float32(math.Inf(-1)), float32(math.Inf(-1))
	for _, v := range u {
		if v > first {
			first, second = v, first
		} else if v > second {
			second = v
		}
	}
	if top2 && len(u) > 1 {
		return first + second
	}
	return first
}

// top puts the indices of the largest u that are not taken into index, best first. Of equals the lower index wins. There are
// at least as many as index holds, and it is filled whatever their values, NaN included.
func top(index []int32, u []float32, taken []bool) {
	n := 0
	for e, v := range u {
		switch {
		case taken[e]:
			continue
		case n < len(index):
			n++
		case !(v > u[index[n-1]]):
			continue
		}
		i := n - 1
		for ; i > 0 && v > u[index[i-1]]; i-- {
			index[i] = index[i-1]
		}
		index[i] = int32(e)
	}
}

// weigh makes the weights of the chosen experts from the scores s, which the bias is not in.
func weigh(weight []float32, index []int32, s []float32, spec device.RouteSpec) {
	factor := spec.ScalingFactor
	if spec.Normalize {
		if sum := chosenSum(index, s); sum > 0 {
			factor /= sum
		}
	}
	for k, e := range index {
		weight[k] = s[e] * factor
	}
}

// chosenSum is the sum of the scores of the chosen. It is 0 where every sigmoid has underflowed: the weights are 0 then.
func chosenSum(index []int32, s []float32) float32 {
	sum := float32(0)
	for _, e := range index {
		sum += s[e]
	}
	return sum
}

// sortSlots numbers the (token, choice) pairs by expert, then by token.
func (d *Device) sortSlots(r device.Routing, spec device.RouteSpec) {
	start := viewInts(r.Start).row(0)
	clear(start)
	if r.Index.Rows == 0 {
		return
	}
	index, slot, token := viewInts(r.Index), viewInts(r.Slot), viewInts(r.Token)
	for t := range r.Index.Rows {
		for _, e := range index.row(t) {
			start[e+1]++
		}
	}
	for e := range spec.Experts {
		start[e+1] += start[e]
	}
	next := grow(&d.next, spec.Experts)
	copy(next, start)
	for t := range r.Index.Rows {
		for k, e := range index.row(t) {
			slot.row(t)[k] = next[e]
			token.row(int(next[e]))[0] = int32(t)
			next[e]++
		}
	}
}

// AddLoad implements device.Device.
func (d *Device) AddLoad(load tensor.Mat, r device.Routing) {
	want("AddLoad", "load", load, 1, r.Start.Cols-1)
	wantInts("AddLoad", "start", r.Start, 1, r.Start.Cols)
	l, start := view(load).row(0), viewInts(r.Start).row(0)
	for e := range l {
		l[e] += float32(start[e+1] - start[e])
	}
}

// UpdateBias implements device.Device.
func (d *Device) UpdateBias(bias, load tensor.Mat, speed float32) {
	want("UpdateBias", "bias", bias, 1, bias.Cols)
	want("UpdateBias", "load", load, 1, bias.Cols)
	b, l := view(bias).row(0), view(load).row(0)
	mean := 0.0
	for _, n := range l {
		mean += float64(n)
	}
	mean /= float64(len(l))
	for e, n := range l {
		switch {
		case float64(n) < mean:
			b[e] += speed
		case float64(n) > mean:
			b[e] -= speed
		}
	}
}
