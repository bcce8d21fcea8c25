package cpu

import (
	"strings"
	"testing"

	"sprat/device"
	"sprat/device/devicetest"
	"sprat/kernel"
	"sprat/tensor"
)

// Each of these devices has one error that training would survive for a while. The suite must see it.

// flipped has the wrong sign in front of the mean of RMSNorm's dx.
type flipped struct{ *Device }

func (d flipped) RMSNormBackward(dx, dw, dy, x, rstd, w tensor.Mat) {
	if dx.IsZero() {
		d.Device.RMSNormBackward(dx, dw, dy, x, rstd, w)
		return
	}
	before := d.Alloc(dx.Rows, dx.Cols, tensor.F32)
	d.Copy(before, dx)
	d.Device.RMSNormBackward(dx, dw, dy, x, rstd, w)
	for t := range dx.Rows {
		r, now, was := view(rstd).row(t)[0], view(dx).row(t), view(before).row(t)
		for i := range now {
			straight := r * view(w).row(0)[i] * view(dy).row(t)[i]
			now[i] = was[i] + straight + (was[i] + straight - now[i])
		}
	}
}

// overwriting forgets what was in dw.
type overwriting struct{ *Device }

func (d overwriting) LinearBackward(dx, dw, dy, x, w tensor.Mat, p device.Precision) {
	if !dw.IsZero() {
		d.Zero(dw)
	}
	d.Device.LinearBackward(dx, dw, dy, x, w, p)
}

// unscaled leaves the scale out of the scores' gradient.
type unscaled struct{ *Device }

func (d unscaled) AttentionBackward(dq, dkv, dkR, do, q, kv, kR, o, lse tensor.Mat, starts []int32, h device.Heads) {
	d.Device.AttentionBackward(tensor.Mat{}, dkv, dkR, do, q, kv, kR, o, lse, starts, h)
	if !dq.IsZero() {
		g := d.Alloc(dq.Rows, dq.Cols, tensor.F32)
		d.Device.AttentionBackward(g, tensor.Mat{}, tensor.Mat{}, do, q, kv, kR, o, lse, starts, h)
		for t := range dq.Rows {
			for i, v := range view(g).row(t) {
				view(dq).row(t)[i] += v / h.Scale
			}
		}
	}
}

// leaking lets a sequence see the one before.
type leaking struct{ *Device }

func (d leaking) Attention(o, lse, top, q, kv, kR tensor.Mat, starts []int32, h device.Heads) {
	d.Device.Attention(o, lse, top, q, kv, kR, []int32{0, int32(q.Rows)}, h)
}

// biased weighs with the scores that choose.
type biased struct{ *Device }

func (d biased) Route(r device.Routing, logits, bias tensor.Mat, spec device.RouteSpec) {
	d.Device.Route(r, logits, bias, spec)
	if bias.IsZero() || !spec.Normalize {
		return
	}
	for t := range logits.Rows {
		weight, sum := view(r.Weight).row(t), float32(0)
		for k, e := range viewInts(r.Index).row(t) {
			weight[k] = view(r.Score).row(t)[e] + view(bias).row(0)[e]
			sum += weight[k]
		}
		for k := range weight {
			weight[k] *= spec.ScalingFactor / sum
		}
	}
}

// detached treats the weights' denominator as a constant.
type detached struct{ *Device }

func (d detached) RouteBackward(dlogits, dweight tensor.Mat, r device.Routing, spec device.RouteSpec, balance float32, starts []int32) {
	if spec.Normalize && spec.Sigmoid {
		for t := range dweight.Rows {
			sum := float32(0)
			for _, e := range viewInts(r.Index).row(t) {
				sum += view(r.Score).row(t)[e]
			}
			for k, e := range viewInts(r.Index).row(t) {
				s := view(r.Score).row(t)[e]
				view(dlogits).row(t)[e] += view(dweight).row(t)[k] * spec.ScalingFactor / sum * s * (1 - s)
			}
		}
		return
	}
	d.Device.RouteBackward(dlogits, dweight, r, spec, balance, starts)
}

// forgetful begins each step without momentum.
type forgetful struct{ *Device }

func (d forgetful) Muon(w, m, g []tensor.Mat, s device.MuonStep) {
	for i := range m {
		d.Zero(m[i])
	}
	d.Device.Muon(w, m, g, s)
}

// undecayed leaves the weights' decay out.
type undecayed struct{ *Device }

func (d undecayed) Muon(w, m, g []tensor.Mat, s device.MuonStep) {
	s.WeightDecay = 0
	d.Device.Muon(w, m, g, s)
}

// topless takes the largest score of all heads for each.
type topless struct{ *Device }

func (d topless) Attention(o, lse, top, q, kv, kR tensor.Mat, starts []int32, h device.Heads) {
	d.Device.Attention(o, lse, top, q, kv, kR, starts, h)
	if !top.IsZero() {
		t := view(top).row(0)
		most := kernel.Max(t)
		for i := range t {
			t[i] = most
		}
	}
}

// shortsighted leaves each row without its own token, in the absorbed form.
type shortsighted struct{ *Device }

func (d shortsighted) PagedLatentAttention(oC, qC, q tensor.Mat, p device.Pages, layer int, contexts []device.Context, h device.Heads) {
	d.Device.PagedLatentAttention(oC, qC, q, p, layer, shifted(contexts), h)
}

// shifted moves contexts that have a past one token back.
func shifted(contexts []device.Context) []device.Context {
	var moved []device.Context
	for _, c := range contexts {
		c.Past = max(0, c.Past-1)
		moved = append(moved, c)
	}
	return moved
}

// unmasked lets rows in the explicit form see the next token.
type unmasked struct{ *Device }

func (d unmasked) PagedAttention(o, q tensor.Mat, p device.Pages, layer int, wUK, wUV device.Weight, contexts []device.Context, h device.Heads) {
	var moved []device.Context
	for _, c := range contexts {
		if c.Rows > 1 {
			c.Rows, c.Past = c.Rows-1, c.Past+1
		}
		moved = append(moved, c)
	}
	d.Device.PagedAttention(o, q, p, layer, wUK, wUV, moved, h)
}

// mistaken has all contexts in one step read the pages of the first.
type mistaken struct{ *Device }

func (d mistaken) PagedLatentAttention(oC, qC, q tensor.Mat, p device.Pages, layer int, contexts []device.Context, h device.Heads) {
	var all []device.Context
	for _, c := range contexts {
		c.Table = contexts[0].Table
		c.Past = min(c.Past, len(c.Table)*16-c.Rows)
		all = append(all, c)
	}
	d.Device.PagedLatentAttention(oC, qC, q, p, layer, all, h)
}

// shallow copies pages of the first layer alone.
type shallow struct{ *Device }

func (d shallow) CopyPage(p device.Pages, from, to, rows int) {
	own := p.(*pages)
	copy(own.bytes[own.at(0, int32(to), 0):][:rows*own.row], own.bytes[own.at(0, int32(from), 0):])
}

// hidden leaves the shared expert out.
type hidden struct{ *Device }

func (d hidden) MixExperts(y, x tensor.Mat, gateUp, down, _, _ device.Weight, r device.Routing) {
	d.Device.MixExperts(y, x, gateUp, down, nil, nil, r)
}

// level gives all experts of a token the same weight.
type level struct{ *Device }

func (d level) MixExperts(y, x tensor.Mat, gateUp, down, sharedGateUp, sharedDown device.Weight, r device.Routing) {
	old := r.Weight
	r.Weight = d.Alloc(old.Rows, old.Cols, tensor.F32)
	for t := range old.Rows {
		for k := range old.Cols {
			view(r.Weight).row(t)[k] = kernel.Sum(view(old).row(t)) / float32(old.Cols)
		}
	}
	d.Device.MixExperts(y, x, gateUp, down, sharedGateUp, sharedDown, r)
}

// unaligned takes every part's columns from the first.
type unaligned struct{ *Device }

func (d unaligned) ProjectEach(y, x tensor.Mat, w device.Weight, _, offset int) {
	d.Device.ProjectEach(y, x, w, 0, offset)
}

// replacing forgets what was in y.
type replacing struct{ *Device }

func (d replacing) Project(y, x tensor.Mat, w device.Weight, _ bool) {
	d.Device.Project(y, x, w, false)
}

// coarsened has one scale for all groups of a row.
type coarsened struct{ *Device }

func (d coarsened) FillWeight(w device.Weight, part, row int, v device.Values) {
	if v.Int != nil {
		groups := len(v.Scale) / max(1, v.Rows)
		scale := make([]float32, len(v.Scale))
		for i := range scale {
			scale[i] = v.Scale[i/groups*groups]
		}
		v.Scale = scale
	}
	d.Device.FillWeight(w, part, row, v)
}

func TestSuiteSeesErrors(t *testing.T) {
	d := New(2)
	defer d.Close()
	for _, c := range []struct {
		broken device.Device
		check  string
		result string // what the error must be about
	}{
		{flipped{d}, "small RMSNorm", "dx"},
		{overwriting{d}, "small Linear", "dw"},
		{unscaled{d}, "small Attention", "dq"},
		{leaking{d}, "small Attention", "o"},
		{leaking{d}, "sequences apart", "o"},
		{biased{d}, "small Route V3", "weight"},
		{biased{d}, "golden routing", "weight"},
		{detached{d}, "small Route V3", "dlogits"},
		{forgetful{d}, "small Muon wide", "w"},
		{undecayed{d}, "small Muon tall", "w"},
		{topless{d}, "small Attention", "top"},
		{shortsighted{d}, "small Paged absorbed", "oC"},
		{shortsighted{d}, "pages against the equation", "o"},
		{unmasked{d}, "small Paged explicit", "o"},
		{mistaken{d}, "contexts together", "o"},
		{hidden{d}, "small MixExperts Int8", "y"},
		{level{d}, "small MixExperts alone F32", "y"},
		{unaligned{d}, "small ProjectEach Int4", "y"},
		{replacing{d}, "small Project add BF16", "y"},
		{coarsened{d}, "small Project wide Int8", "y"},
		{shallow{d}, "copied pages", "o"},
	} {
		if err := devicetest.Check(d, c.check); err != nil {
			t.Errorf("%s without an error: %v", c.check, err)
		}
		err := devicetest.Check(c.broken, c.check)
		if err == nil || !strings.Contains(err.Error(), " "+c.result+": ") {
			t.Errorf("%T: want an error about %s, have %v", c.broken, c.result, err)
		} else {
			t.Logf("%T: %v", c.broken, err)
		}
	}
}
