package devicetest

import (
	"math"
	"slices"

	"sprat/device"
)

// The equations of package device in float64. A matrix is its elements row by row; its width is in the context.

// refLinear is y [t, out] = x [t, in]·wᵀ.
func refLinear(x, w []float64, in int) []float64 {
	t, out := len(x)/in, len(w)/in
	y := make([]float64, t*out)
	for i := range t {
		for j := range out {
			for k := range in {
				y[i*out+j] += x[i*in+k] * w[j*in+k]
			}
		}
	}
	return y
}

// refGather is rows ids of table.
func refGather(table, ids []float64, d int) []float64 {
	var x []float64
	for _, id := range ids {
		x = append(x, table[int(id)*d:][:d]...)
	}
	return x
}

func refRMSNorm(x, w []float64, eps float64) (y, rstd []float64) {
	d := len(w)
	for t := range len(x) / d {
		sum := 0.0
		for _, v := range x[t*d:][:d] {
			sum += v * v
		}
		r := 1 / math.Sqrt(sum/float64(d)+eps)
		for i, v := range x[t*d:][:d] {
			y = append(y, w[i]*v*r)
		}
		rstd = append(rstd, r)
	}
	return y, rstd
}

// refRoPE turns pair i of a head's columns [off, off+2n) as the complex number a + bi by e^(iθ).
func refRoPE(x []float64, cols, headDim, off int, pos, cos, sin []float64, n int, inverse bool) []float64 {
	y := slices.Clone(x)
	for t := range pos {
		for h := 0; h < cols; h += headDim {
			for i := range n {
				p := t*cols + h + off + 2*i
				turn := complex(cos[int(pos[t])*n+i], sin[int(pos[t])*n+i])
				if inverse {
					turn = complex(real(turn), -imag(turn))
				}
				z := complex(x[p], x[p+1]) * turn
				y[p], y[p+1] = real(z), imag(z)
			}
		}
	}
	return y
}

func refSilu(x float64) float64 { return x * refSigmoid(x) }

func refSigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// refSwiGLU is for rows [gate | up] of 2f.
func refSwiGLU(gu []float64, f int) []float64 {
	var y []float64
	for t := range len(gu) / (2 * f) {
		for i := range f {
			y = append(y, refSilu(gu[t*2*f+i])*gu[t*2*f+f+i])
		}
	}
	return y
}

// refSoftmax returns the probabilities and log Σ exp.
func refSoftmax(x []float64) (p []float64, lse float64) {
	largest, sum := slices.Max(x), 0.0
	for _, v := range x {
		sum += math.Exp(v - largest)
	}
	lse = largest + math.Log(sum)
	for _, v := range x {
		p = append(p, math.Exp(v-lse))
	}
	return p, lse
}

func refDot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func refAttention(q, kv, kR []float64, starts []int32, h device.Heads) (o, lse, top []float64) {
	t := len(kR) / h.R
	o, lse, top = make([]float64, t*h.H*h.V), make([]float64, t*h.H), slices.Repeat([]float64{math.Inf(-1)}, h.H)
	for b := range len(starts) - 1 {
		for i := int(starts[b]); i < int(starts[b+1]); i++ {
			for head := range h.H {
				query := q[(i*h.H+head)*(h.N+h.R):][:h.N+h.R]
				var scores []float64
				for s := int(starts[b]); s <= i; s++ {
					k := kv[(s*h.H+head)*(h.N+h.V):][:h.N]
					scores = append(scores, float64(h.Scale)*(refDot(query[:h.N], k)+refDot(query[h.N:], kR[s*h.R:][:h.R])))
				}
				p, l := refSoftmax(scores)
				lse[i*h.H+head] = l
				top[head] = max(top[head], slices.Max(scores))
				for s, prob := range p {
					v := kv[((int(starts[b])+s)*h.H+head)*(h.N+h.V)+h.N:][:h.V]
					for c := range v {
						o[(i*h.H+head)*h.V+c] += prob * v[c]
					}
				}
			}
		}
	}
	return o, lse, top
}

func refLatentAttention(qC, q, latents []float64, past int, h device.Heads) []float64 {
	t := len(qC) / (h.H * h.C)
	oC := make([]float64, len(qC))
	for i := range t {
		for head := range h.H {
			at := (i*h.H + head) * h.C
			rope := q[(i*h.H+head)*(h.N+h.R)+h.N:][:h.R]
			var scores []float64
			for s := range past + i + 1 {
				l := latents[s*(h.C+h.R):][:h.C+h.R]
				scores = append(scores, float64(h.Scale)*(refDot(qC[at:at+h.C], l[:h.C])+refDot(rope, l[h.C:])))
			}
			p, _ := refSoftmax(scores)
			for s, prob := range p {
				for c := range h.C {
					oC[at+c] += prob * latents[s*(h.C+h.R)+c]
				}
			}
		}
	}
	return oC
}

// refAbsorbQuery is qC_h = q_nope_h·W_UK_h.
func refAbsorbQuery(q, wkvb []float64, h device.Heads) []float64 {
	var qC []float64
	for i := range len(q) / (h.N + h.R) {
		for c := range h.C {
			sum := 0.0
			for n := range h.N {
				sum += q[i*(h.N+h.R)+n] * wkvb[(i%h.H*(h.N+h.V)+n)*h.C+c]
			}
			qC = append(qC, sum)
		}
	}
	return qC
}

// refAbsorbValue is o_h = oC_h·W_UVᵀ_h.
func refAbsorbValue(oC, wkvb []float64, h device.Heads) []float64 {
	var o []float64
	for i := range len(oC) / h.C {
		for v := range h.V {
			o = append(o, refDot(oC[i*h.C:][:h.C], wkvb[(i%h.H*(h.N+h.V)+h.N+v)*h.C:][:h.C]))
		}
	}
	return o
}

// refExperts is the sum over the chosen, and what a device saves, in slots' order.
func refExperts(x, gateUp, down, weight, index, slot []float64, d, f, k int) (y, sx, sgu, sact []float64) {
	t := len(x) / d
	y, sx = make([]float64, t*d), make([]float64, t*k*d)
	sgu, sact = make([]float64, t*k*2*f), make([]float64, t*k*f)
	for i := range t * k {
		row, e, s := x[i/k*d:][:d], int(index[i]), int(slot[i])
		gu := refLinear(row, gateUp[e*2*f*d:][:2*f*d], d)
		act := refSwiGLU(gu, f)
		for j := range act {
			act[j] *= weight[i]
		}
		for j, v := range refLinear(act, down[e*d*f:][:d*f], f) {
			y[i/k*d+j] += v
		}
		copy(sx[s*d:], row)
		copy(sgu[s*2*f:], gu)
		copy(sact[s*f:], act)
	}
	return y, sx, sgu, sact
}

// refHeadLoss is the cross-entropy of each row; a negative target is ignored.
func refHeadLoss(x, w, targets []float64, d int) []float64 {
	var loss []float64
	for t, target := range targets {
		l := 0.0
		if target >= 0 {
			logits := refLinear(x[t*d:][:d], w, d)
			_, lse := refSoftmax(logits)
			l = lse - logits[int(target)]
		}
		loss = append(loss, l)
	}
	return loss
}

func refAdamW(w, m, v, g []float64, s device.AdamWStep) {
	b1, b2 := float64(s.Beta1), float64(s.Beta2)
	for i := range w {
		grad := g[i] * float64(s.GradScale)
		m[i] = b1*m[i] + (1-b1)*grad
		v[i] = b2*v[i] + (1-b2)*grad*grad
		step := m[i] * float64(s.Correction1) / (math.Sqrt(v[i]*float64(s.Correction2)) + float64(s.Eps))
		w[i] -= float64(s.LR) * (step + float64(s.WeightDecay)*w[i])
	}
}
