// Package device names the operations that a model is made of. Package nn and package model call them over Mats and never
// touch an element, so that the same model runs on any device that implements Device; device/cpu is the first.
//
// The operations are coarse: one is a whole attention or all experts of a layer, so that a device may fuse, group and order the
// work inside as suits it. Rules that hold for all of them:
//
//   - A Forward operation overwrites its results unless it says "adds". A Backward operation adds to every gradient that it
//     produces, so that residual branches and shared weights need no special case; the caller zeroes gradients once.
//   - A gradient passed as the zero Mat is not computed.
//   - Products accumulate in float32, with one accumulator for each output and k ascending. A row's result depends neither on
//     which other rows are in the call nor on the number of threads.
//   - Matrices may be strided views unless an operation says "contiguous".
//   - A wrong shape is a bug in the caller, and panics with the shapes.
//
// Letters for shapes: T rows (tokens), D hidden size, H heads, N the part of a head's query and key without position (nope), R
// the rotary part, V a head's value, C the latent width, E experts, K experts chosen for a token, F an expert's width.
package device

import "sprat/tensor"

// Precision is how a product reads its inputs. Accumulation is float32 always.
type Precision uint8

const (
	F32  Precision = iota
	BF16           // both inputs rounded to bfloat16
	// FP8 is DeepSeek-V3's recipe (report, section 3.3): both inputs rounded to E4M3, with a scale for each 1 x 128 tile along k
	// of activations and their gradients and each 128 x 128 block of weights; partial sums of 128 are scaled and added up
	// in float32. It is for Linear and Experts. Two of V3's savings of memory are left out, as activations stay float32
	// here: cached inputs in FP8, and those of the projection after attention in E5M6.
	FP8
)

// Core is the precision of what V3 keeps out of FP8, the output head and the core of attention: BF16 where p is FP8, else p.
func (p Precision) Core() Precision {
	if p == FP8 {
		return BF16
	}
	return p
}

// Heads is the shape of multi-head latent attention.
type Heads struct {
	H, N, R, V, C int
	Scale         float32   // of the scores, before softmax
	Precision     Precision // of attention's products, not FP8
}

// RouteSpec says how the gate chooses experts and weighs them.
type RouteSpec struct {
	Experts, TopK     int
	Groups, TopGroups int     // contiguous groups of Experts/Groups; no limit when Groups <= 1 or TopGroups == Groups
	Sigmoid           bool    // scores: sigmoid, else softmax
	GroupTop2         bool    // a group counts by the sum of its two best u (V3), else by its best (V2)
	Normalize         bool    // weights are divided by their sum
	ScalingFactor     float32 // then multiplied by this
	Replay            bool    // rows whose Index is not negative keep those experts, chosen earlier: only scores and weights are new
}

// Routing is what Route produces for T tokens, all of it in device memory. Slots are the T·K (token, choice) pairs sorted by
// expert, then by token.
type Routing struct {
	Score  tensor.Mat // [T, E] s, the unbiased scores
	Index  tensor.Mat // [T, K] I32, the experts chosen, best first by biased score
	Weight tensor.Mat // [T, K] the weights of the chosen, scaled
	Start  tensor.Mat // [1, E+1] I32, expert e owns slots [Start[e], Start[e+1])
	Slot   tensor.Mat // [T, K] I32, the slot of each pair
	Token  tensor.Mat // [T·K, 1] I32, the token of each slot
}

// ExpertsSaved is what Experts keeps for ExpertsBackward, in slots' order.
type ExpertsSaved struct {
	X      tensor.Mat // [T·K, D] inputs, gathered
	GateUp tensor.Mat // [T·K, 2F]
	Act    tensor.Mat // [T·K, F] weight · silu(gate) · up
}

// AdamWStep is one step's numbers. The caller computes the bias corrections 1/(1-βᵗ) once for all parameters.
type AdamWStep struct {
	LR, Beta1, Beta2, Eps, WeightDecay float32
	Correction1, Correction2           float32
	GradScale                          float32 // multiplies the gradient first: clipping
}

// MuonStep is one step's numbers for Muon.
type MuonStep struct {
	LR, Momentum, WeightDecay float32
	GradScale                 float32      // multiplies the gradient first: clipping
	Scale                     float32      // multiplies the orthogonal matrix
	Polynomials               [][3]float32 // Newton-Schulz's coefficients, one iteration each
	Precision                 Precision    // of its products
}

// Device is the set of operations. One goroutine uses a Device at a time; only Read may run beside an operation, one that doesn't write
// what it reads.
type Device interface {
	// Alloc returns zeroed memory; it lives as long as something refers to it.
	Alloc(rows, cols int, t tensor.DType) tensor.Mat
	// Upload and UploadInts copy host values, row by row without gaps, into dst; Read and ReadInts copy them back.
	Upload(dst tensor.Mat, src []float32)
	UploadInts(dst tensor.Mat, src []int32)
	Read(dst []float32, src tensor.Mat)
	ReadInts(dst []int32, src tensor.Mat)

	Zero(m tensor.Mat)
	Copy(dst, src tensor.Mat)
	Add(dst, src tensor.Mat) // dst += src

	// Linear computes y [T, out] = x [T, in] · wᵀ, w [out, in]; with add it adds to y.
	Linear(y, x, w tensor.Mat, p Precision, add bool)
	// LinearBackward adds dy·w to dx and dyᵀ·x to dw.
	LinearBackward(dx, dw, dy, x, w tensor.Mat, p Precision)

	// Embed copies row ids[t] of table [vocab, D] to x[t]; ids [T, 1] I32 are in range. EmbedBackward adds the rows back, t ascending.
	Embed(x, table, ids tensor.Mat)
	EmbedBackward(dtable, dx, ids tensor.Mat)

	// RMSNorm computes y = w ⊙ x·rstd with rstd[t] = 1/sqrt(mean(x[t]²) + eps); w [1, D], rstd [T, 1].
	RMSNorm(y, rstd, x, w tensor.Mat, eps float32)
	RMSNormBackward(dx, dw, dy, x, rstd, w tensor.Mat)

	// RoPE turns, in place, the pairs (2i, 2i+1) of columns [off, off+R) of every headDim columns of x by the angle of
	// position pos[t], R/2 angles a position: cos, sin [positions, R/2], pos [T, 1] I32. Inverse turns back: its own Backward.
	RoPE(x tensor.Mat, headDim, off int, pos, cos, sin tensor.Mat, inverse bool)

	// SwiGLU computes y [T, F] = silu(gate) ⊙ up from gu [T, 2F], gate in the first F columns. SwiGLUBackward adds to dgu.
	SwiGLU(y, gu tensor.Mat)
	SwiGLUBackward(dgu, dy, gu tensor.Mat)

	// Attention is causal attention in the explicit form, within each sequence: sequence b is rows [starts[b], starts[b+1]).
	//   q [T, H·(N+R)], a head's part being [nope | rope]   kv [T, H·(N+V)], a head's part being [k_nope | v]   kR [T, R], one for all heads
	//   score(t, s) = (q_nope·k_nope + q_rope·kR)·scale, s <= t;   o [T, H·V];   lse [T, H] = log Σ exp(score), for Backward.
	// It raises top [1, H], where it is not the zero Mat, to the largest score of each head. R may be 0, and kR then the zero Mat.
	Attention(o, lse, top, q, kv, kR tensor.Mat, starts []int32, h Heads)
	// AttentionBackward recomputes the probabilities from lse; no matrix of T x T is kept.
	AttentionBackward(dq, dkv, dkR, do, q, kv, kR, o, lse tensor.Mat, starts []int32, h Heads)

	// Route chooses K experts for each token from logits [T, E], by the equations of package model's gate. bias [1, E]
	// counts for choosing alone; the zero Mat is none. Experts of groups that are not kept are never chosen, whatever the
	// signs. Of equal scores the lower index wins. With spec.Replay, Index is read too.
	Route(r Routing, logits, bias tensor.Mat, spec RouteSpec)
	// RouteBackward adds to dlogits [T, E] what follows from dweight [T, K] and from the sequence-wise balance loss
	//   L = balance/B · Σ_b Σ_i f_i P_i,  f_i = E/(K·T_b) Σ_t [s_i,t in TopK of s_t],  P_i = 1/T_b Σ_t s_i,t / Σ_j s_j,t
	// over the B sequences of starts (f is a constant; balance 0 is no loss).
	RouteBackward(dlogits, dweight tensor.Mat, r Routing, spec RouteSpec, balance float32, starts []int32)
	// BalanceLoss returns that L. It reads from the device.
	BalanceLoss(r Routing, spec RouteSpec, balance float32, starts []int32) float64
	// AddLoad adds the number of slots of each expert to load [1, E].
	AddLoad(load tensor.Mat, r Routing)
	// UpdateBias adds speed·sign(mean(load) - load[e]) to bias[e].
	UpdateBias(bias, load tensor.Mat, speed float32)

	// Experts adds Σ_k weight_k·down_e(silu(gate_e(x)) ⊙ up_e(x)) to y [T, D], e = Index[t, k]: gateUp [E·2F, D], an
	// expert's rows being [gate | up], down [E·D, F]. The weight is applied to the activation, before down.
	Experts(y, x, gateUp, down tensor.Mat, r Routing, s ExpertsSaved, p Precision)
	// ExpertsBackward adds to dx, dGateUp, dDown, and overwrites dweight [T, K].
	ExpertsBackward(dx, dGateUp, dDown, dweight, dy, gateUp, down tensor.Mat, r Routing, s ExpertsSaved, p Precision)

	// HeadLoss is the output head with its cross-entropy, in chunks of rows, so that the logits [T, vocab] never exist whole.
	// loss [T, 1] = -log softmax(x·wᵀ)[target]; 0 where targets [T, 1] I32 is negative (ignored). It adds
	// scale·weights[t]·dloss[t]/dx to dx and likewise to dw, Σ over t, weights [T, 1] being ones where they are the zero Mat; zero
	// Mats for dx and dw make it an evaluation.
	HeadLoss(loss, dx, dw, x, w, targets, weights tensor.Mat, scale float32, p Precision)

	// SumSquares returns Σ x² over m. It reads from the device.
	SumSquares(m tensor.Mat) float64
	// AdamW steps w by g, with moments m and v of the same shape: m̂ = m·Correction1, v̂ = v·Correction2,
	// w -= LR·(m̂/(sqrt(v̂)+Eps) + WeightDecay·w).
	AdamW(w, m, v, g tensor.Mat, s AdamWStep)
	// Muon steps matrices w, all of one shape, by their gradients g with momenta m. Each is made orthogonal as a whole:
	//   m = μ·m + g;   X = g + μ·m (Nesterov);   X /= ‖X‖ + 1e-7;   for each (a, b, c): X = a·X + b·(XXᵀ)X + c·(XXᵀ)²X;
	//   w -= LR·(Scale·X + WeightDecay·w)
	Muon(w, m, g []tensor.Mat, s MuonStep)
	// Mix computes dst = keep·dst + take·src. The zero Mat for src leaves keep·dst.
	Mix(dst, src tensor.Mat, keep, take float32)
}
