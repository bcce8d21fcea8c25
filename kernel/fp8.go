package kernel

import "math"

// Products in FP8 are DeepSeek-V3's (report, section 3.3): both inputs are E4M3, with a scale for each small group, and k is taken 128
// at a time. A group of A is 1 x 128 along k; one of B is 128 x 128 where B is a weight (NT, NN), and 1 x 128 along k where
// both are activations (TN). The scale of a group is max(amax, 1e-4)/448, from its values of the moment.
//
//	C[i,j] = Σ_b scaleA[i,b]·scaleB[j,b] · Σ_{k in b} E4M3(A[i,k]/scaleA)·E4M3(B[j,k]/scaleB)
//
// E4M3 is exact in bfloat16, so the inner sum is a product of bfloat16's with one float32 accumulator that starts at zero. The
// outer one is C itself, in float32, b ascending: that is where the hardware that the report describes promotes its partial
// sums. Package float8 says what an accumulator of 14 bits would do.
const (
	fp8Group  = 128
	e4m3Max   = 448
	minAmax   = 1e-4
	magnitude = 1<<31 - 1
)

// groups is the number of groups that k's are cut into.
func groups(k int) int { return (k + fp8Group - 1) / fp8Group }

// scaleOf is the scale of a group whose largest magnitude has these bits. As bits, infinity is larger than the numbers and NaN larger than
// infinity: a group with one of them gets a scale that makes all of it NaN.
func scaleOf(amax uint32) float32 { return max(math.Float32frombits(amax), minAmax) / e4m3Max }

// absMax is the largest of most and the bits of x's magnitudes.
func absMax(x []float32, most uint32) uint32 {
	n, most := absMaxBlocks(x, most)
	for _, v := range x[n:] {
		most = max(most, math.Float32bits(v)&magnitude)
	}
	return most
}

// absMaxes raises most to the bits of x's magnitudes, one by one.
func absMaxes(most, x []float32) {
	for i := absMaxesBlocks(most, x); i < len(x); i++ {
		most[i] = math.Float32frombits(max(math.Float32bits(most[i]), math.Float32bits(x[i])&magnitude))
	}
}

// quantise sets dst = E4M3(src/scale).
func quantise(dst, src []float32, scale float32) {
	for i := roundE4M3Blocks(dst, src, scale); i < len(src); i++ {
		dst[i] = roundE4M3(src[i] / scale)
	}
}

// quantiseBy sets dst = E4M3(src/scale), one by one.
func quantiseBy(dst, src, scale []float32) {
	for i := roundE4M3ByBlocks(dst, src, scale); i < len(src); i++ {
		dst[i] = roundE4M3(src[i] / scale[i])
	}
}

// roundE4M3 is the number of E4M3 nearest to x, ties to the even one: three bits of mantissa down to 2^-6, steps of 2^-9 below. Beyond
// ±448 it is ±448; NaN stays.
func roundE4M3(x float32) float32 {
	const drop = 23 - 3
	b := math.Float32bits(x)
	a := math.Float32frombits(b & magnitude)
	switch {
	case x != x:
		return x
	case a < 1.0/64:
		a = float32(a+1<<14) - 1<<14 // the last bit of 2^14 is worth 2^-9
	default:
		m := math.Float32bits(min(a, e4m3Max))
		a = math.Float32frombits((m + 1<<(drop-1) - 1 + m>>drop&1) &^ (1<<drop - 1))
	}
	return math.Float32frombits(math.Float32bits(a) | b&^magnitude)
}

// quantiseRows quantises rows of a group of k's, which lie side by side, into q without gaps.
func quantiseRows(q, scale, x []float32, ld, rows, kc int) {
	for i := range rows {
		row := x[i*ld : i*ld+kc]
		scale[i] = scaleOf(absMax(row, 0))
		quantise(q[i*kc:(i+1)*kc], row, scale[i])
	}
}

// quantiseColumns quantises columns of a group of k's into q without gaps.
func quantiseColumns(q, scale, x []float32, ld, cols, kc int) {
	clear(scale[:cols])
	for k := range kc {
		absMaxes(scale[:cols], x[k*ld:k*ld+cols])
	}
	for i := range cols {
		scale[i] = scaleOf(math.Float32bits(scale[i]))
	}
	for k := range kc {
		quantiseBy(q[k*cols:(k+1)*cols], x[k*ld:k*ld+cols], scale[:cols])
	}
}

// quantiseBlock quantises a block of a weight into q without gaps, and returns its scale.
func quantiseBlock(q, x []float32, ld, rows, cols int) float32 {
	amax := uint32(0)
	for i := range rows {
		amax = absMax(x[i*ld:i*ld+cols], amax)
	}
	scale := scaleOf(amax)
	for i := range rows {
		quantise(q[i*cols:(i+1)*cols], x[i*ld:i*ld+cols], scale)
	}
	return scale
}

// packA8 quantises and packs rows [m, mEnd) and the group of k's from k on of A; scale has one for each row.
func (ws *Workspace) packA8(im *gemmImpl, op Op, p *Product, k, kc, m, mEnd int) (a, scale []float32, height int) {
	rows := mEnd - m
	ws.q, ws.scale = grow(ws.q, rows*kc), grow(ws.scale, rows)
	q := Product{A: ws.q, LDA: kc}
	if op == TN {
		q.LDA = rows
		quantiseColumns(ws.q, ws.scale, p.A[k*p.LDA+m:], p.LDA, rows, kc)
	} else {
		quantiseRows(ws.q, ws.scale, p.A[m*p.LDA+k:], p.LDA, rows, kc)
	}
	a, height = ws.packA(im, op, F32, &q, 0, kc, 0, rows) // E4M3 needs no rounding to bfloat16
	return a, ws.scale, height
}

// fill8 quantises and packs columns [n0, n1) of p's B; n0 is a multiple of fp8Group.
func (b *Packed) fill8(ws *Workspace, op Op, p *Product, n0, n1 int) {
	for n := n0; n < n1; n += fp8Group {
		cols := min(fp8Group, n1-n)
		for k := 0; k < p.K; k += fp8Group {
			kc := min(fp8Group, p.K-k)
			ws.q, ws.scale = grow(ws.q, cols*kc), grow(ws.scale, cols)
			q := Product{B: ws.q, LDB: cols}
			switch op {
			case TN:
				quantiseColumns(ws.q, ws.scale, p.B[k*p.LDB+n:], p.LDB, cols, kc)
			case NN:
				fill(ws.scale, quantiseBlock(ws.q, p.B[k*p.LDB+n:], p.LDB, kc, cols))
			case NT:
				q.LDB = kc
				fill(ws.scale, quantiseBlock(ws.q, p.B[n*p.LDB+k:], p.LDB, cols, kc))
			}
			for j := 0; j < cols; j += b.im.nr {
				end := min(j+b.im.nr, cols)
				packB(b.im, op, F32, &q, b.panel(n+j, k), 0, kc, j, end)
				copy(b.scales(n+j, k), ws.scale[j:end])
			}
		}
	}
}

func fill(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}

// scales are those of the panel of columns from n on, for the group of k's from k on.
func (b *Packed) scales(n, k int) []float32 {
	at := n*groups(b.k) + k/fp8Group*b.im.nr
	return b.scale[at : at+b.im.nr]
}

// packed8 computes rows [m0, m1) and columns [n0, n1) of C.
func (ws *Workspace) packed8(im *gemmImpl, op Op, p *Product, m0, m1, n0, n1 int) {
	for m := m0; m < m1; m += blockM {
		mEnd := min(m+blockM, m1)
		for k := 0; k < p.K; k += fp8Group {
			kc := min(fp8Group, p.K-k)
			words := im.words(kc)
			a, scale, height := ws.packA8(im, op, p, k, kc, m, mEnd)
			for n := n0; n < n1; n += im.nr {
				cols, b, scaleB := min(im.nr, n1-n), p.Packed.panel(n, k), p.Packed.scales(n, k)
				for i := 0; i < mEnd-m; i += height {
					ws.tile8(im, min(height, mEnd-m-i), words, cols, a[i*words:], b, p.C[(m+i)*p.LDC+n:], p.LDC, scale[i:], scaleB, k > 0 || p.Accumulate)
				}
			}
		}
	}
}

// tile8 adds a tile of cols columns to C, each sum times its scales.
func (ws *Workspace) tile8(im *gemmImpl, rows, words, cols int, a, b, c []float32, ldc int, scaleA, scaleB []float32, add bool) {
	if im.scaled != nil && cols == im.nr {
		im.scaled(rows, words, a, b, c, ldc, scaleA, scaleB, add)
		return
	}
	t := ws.tile[:rows*im.nr]
	im.tile(rows, words, a, b, t, im.nr, false)
	for i := range rows {
		row, sums := c[i*ldc:i*ldc+cols], t[i*im.nr:]
		if !add {
			clear(row)
		}
		for j := range row {
			row[j] += float32(sums[j] * float32(scaleA[i]*scaleB[j]))
		}
	}
}

// e4m3 are the numbers of the 256 codes of E4M3.
var e4m3 = decodeE4M3()

func decodeE4M3() (t [256]float32) {
	for i := range t {
		exponent, mantissa := i>>3&15, float32(i&7)
		switch {
		case i&127 == 127:
			t[i] = float32(math.NaN())
		case exponent == 0:
			t[i] = mantissa / 512
		default:
			t[i] = float32(math.Ldexp(1+float64(mantissa)/8, exponent-7))
		}
		if i > 127 {
			t[i] = -t[i]
		}
	}
	return t
}
