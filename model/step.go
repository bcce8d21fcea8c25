package model

import (
	"sprat/tensor"
)

// Objective weighs the parts of the loss: main + MTPWeight/depths · Σ_k mtp_k + balance, the latter with factor Balance (α).
type Objective struct {
	MTPWeight float64
	Balance   float64
	// Whole is what the means are over where a batch is one of several that make up a step: gradients and losses of the
	// batches then add up to those of the step. nil is the batch alone.
	Whole *Count
	// Weigh, where there is one, is the main loss instead of the mean: a function of -log p of each row's target, 0 on rows without
	// one. It returns its value and sets slope to its derivatives. A policy gradient is such a function.
	Weigh func(nll, slope []float32) float64
}

// Count is the number of things that the parts of a loss are means over.
type Count struct {
	Targets   []int // of the main loss, then of each MTP depth
	Sequences int   // of the balance loss
}

// Reset makes c a count of nothing.
func (c *Count) Reset() {
	clear(c.Targets)
	c.Sequences = 0
}

// Loss is a batch's, each part a mean over its own targets in nats, unweighted; Balance is already multiplied by α. MTP is valid
// until the state is used again.
type Loss struct {
	Main    float64
	MTP     []float64
	Balance float64
}

// Total is what Gradients differentiates.
func (l Loss) Total(o Objective) float64 {
	t := l.Main + l.Balance
	for _, x := range l.MTP {
		t += o.MTPWeight / float64(len(l.MTP)) * x
	}
	return t
}

// rows is a batch on the device.
type rows struct {
	ids, targets, pos tensor.Mat // [T, 1] I32
	starts            []int32
	experts           [][]int32 // Batch.Experts
	learning          bool      // the pass is one of Gradients
}

// State is the space that a pass over T tokens needs. One is made for a batch size and used again and again; for training
// it keeps every layer's intermediate values, otherwise layers share theirs.
type State struct {
	rows   rows
	ints   []int32      // host space for ids, [T]
	x      []tensor.Mat // [T, D] the input of each layer, and the last one's output
	blocks []blockSaved
	norm   tensor.Mat // [T, D] the final norm's output
	rstd   tensor.Mat // [T, 1]
	mtp    []mtpSaved
	loss   tensor.Mat // [T, 1]
	losses []float32  // loss on the host

	// for training alone
	slope         tensor.Mat // [T, 1] Objective.Weigh's
	slopes        []float32  // slope on the host
	dx, dy, dNorm tensor.Mat // [T, D] gradients
	again         tensor.Mat // [T, D] the output of a layer that is computed again
	dense, moe    blockGrads
	mtpLosses     []float64
	count         Count // of the batch
}

// NewState allocates for batches of t tokens. Without train the state serves Logits and Evaluate only. Layers of one kind share
// what they keep for Backward where a model recomputes; only the layers' inputs and the experts' choice are kept for each.
func (m *Model) NewState(t int, train bool) *State {
	mat := func(cols int, d tensor.DType) tensor.Mat { return m.dev.Alloc(t, cols, d) }
	d := m.Config.HiddenSize
	s := &State{
		rows:   rows{ids: mat(1, tensor.I32), targets: mat(1, tensor.I32), pos: mat(1, tensor.I32)},
		ints:   make([]int32, t),
		norm:   mat(d, tensor.F32),
		rstd:   mat(1, tensor.F32),
		loss:   mat(1, tensor.F32),
		losses: make([]float32, t),
	}
	s.x = append(s.x, mat(d, tensor.F32))
	spare := mat(d, tensor.F32)
	last := map[bool]blockSaved{} // by kind of layer
	for i, l := range m.Blocks {
		isMoE := l.MoE != nil
		saved, ok := last[isMoE]
		switch {
		case !ok || train && !m.recompute:
			saved = l.newSaved(t)
			last[isMoE] = saved
		case train && isMoE:
			saved.moe.gate = l.MoE.Gate.newSaved(t)
		}
		s.blocks = append(s.blocks, saved)
		switch {
		case train:
			s.x = append(s.x, mat(d, tensor.F32))
		case i%2 == 0:
			s.x = append(s.x, spare)
		default:
			s.x = append(s.x, s.x[0])
		}
	}
	for _, p := range m.MTP {
		s.mtp = append(s.mtp, p.newSaved(t))
	}
	if train {
		s.dx, s.dy, s.dNorm, s.again = mat(d, tensor.F32), mat(d, tensor.F32), mat(d, tensor.F32), spare
		for _, l := range m.layers {
			if g := s.grads(l); g.h.IsZero() {
				*g = l.newGrads(t)
			}
		}
		s.slope, s.slopes = mat(1, tensor.F32), make([]float32, t)
		s.mtpLosses = make([]float64, len(m.MTP))
	}
	return s
}

// block is what layer i keeps, MTP modules last.
func (s *State) block(i int) *blockSaved {
	if i < len(s.blocks) {
		return &s.blocks[i]
	}
	return &s.mtp[i-len(s.blocks)].block
}

func (s *State) grads(l *Block) *blockGrads {
	if l.MoE != nil {
		return &s.moe
	}
	return &s.dense
}

// upload puts b, and the shifted tokens of each MTP depth, onto the device. The batch's length is the state's.
func (m *Model) upload(s *State, b Batch) {
	s.rows.starts, s.rows.experts = b.Starts, b.Experts
	m.dev.UploadInts(s.rows.ids, b.IDs)
	if b.Targets != nil {
		m.dev.UploadInts(s.rows.targets, b.Targets)
	}
	eachSequence(b, s.ints, func(i, _, _ int) int32 { return int32(i) })
	m.dev.UploadInts(s.rows.pos, s.ints)
	if b.Targets == nil {
		return
	}
	for k := 1; k <= len(s.mtp); k++ {
		// t_{i+k}, the last of which is known only as a target; 0 where there is none, on rows that no label needs.
		eachSequence(b, s.ints, func(i, lo, hi int) int32 {
			switch at := lo + i + k; {
			case at < hi:
				return b.IDs[at]
			case at == hi:
				return max(b.Targets[hi-1], 0)
			}
			return 0
		})
		m.dev.UploadInts(s.mtp[k-1].ids, s.ints)
		eachSequence(b, s.ints, func(i, lo, hi int) int32 {
			if at := lo + i + k; at < hi {
				return b.Targets[at]
			}
			return -1
		})
		m.dev.UploadInts(s.mtp[k-1].targets, s.ints)
	}
}

// eachSequence sets dst[lo+i] = f(i, lo, hi) for position i of every sequence [lo, hi).
func eachSequence(b Batch, dst []int32, f func(i, lo, hi int) int32) {
	for j, lo := range b.Starts[:len(b.Starts)-1] {
		for i := range int(b.Starts[j+1] - lo) {
			dst[int(lo)+i] = f(i, int(lo), int(b.Starts[j+1]))
		}
	}
}

// forward runs the layers and the final norm.
func (m *Model) forward(s *State, b Batch) {
	m.upload(s, b)
	m.Embedding.Forward(s.x[0], s.rows.ids)
	for i, l := range m.Blocks {
		l.Forward(s.x[i+1], s.x[i], &s.rows, &s.blocks[i])
	}
	m.Norm.Forward(s.norm, s.rstd, s.x[len(m.Blocks)])
}

// Logits computes logits [T, vocab] of the next token after each position. mtp, if not nil, holds one matrix for each MTP
// depth, to which that depth's logits go; it needs Targets for the last token.
func (m *Model) Logits(s *State, b Batch, logits tensor.Mat, mtp []tensor.Mat) {
	m.forward(s, b)
	m.Head.Forward(logits, s.norm)
	h := s.x[len(m.Blocks)]
	for k := range mtp {
		m.MTP[k].Forward(h, &s.rows, &s.mtp[k])
		m.Head.Forward(mtp[k], s.mtp[k].norm)
		h = s.mtp[k].h
	}
}

// Evaluate returns the main loss of each position of b, in nats, 0 where it has no target. The slice is valid until the
// state is used again.
func (m *Model) Evaluate(s *State, b Batch) []float32 {
	m.forward(s, b)
	return m.nll(s)
}

// nll is -log p of each row's target, from the final norm's output.
func (m *Model) nll(s *State) []float32 {
	m.dev.HeadLoss(s.loss, tensor.Mat{}, tensor.Mat{}, s.norm, m.Head.W, s.rows.targets, tensor.Mat{}, 0, m.precision)
	m.dev.Read(s.losses, s.loss)
	return s.losses
}

// Gradients computes the loss of b and adds its derivative to every parameter's G. The gates' loads count the batch.
func (m *Model) Gradients(s *State, b Batch, o Objective) Loss {
	if o.Whole == nil {
		s.count.Reset()
		m.Count(&s.count, b)
		o.Whole = &s.count
	}
	balance := float32(0)
	if o.Balance != 0 {
		balance = float32(o.Balance * float64(len(b.Starts)-1) / float64(o.Whole.Sequences))
	}
	s.rows.learning = true
	defer func() { s.rows.learning = false }()
	m.forward(s, b)
	m.dev.Zero(s.dNorm)
	m.dev.Zero(s.dy)
	var loss Loss
	if o.Weigh == nil {
		loss.Main = m.headLoss(s, s.dNorm, s.norm, s.rows.targets, o.Whole.Targets[0], 1)
	} else {
		loss.Main = m.weighedLoss(s, o)
	}
	loss.MTP = m.mtpGradients(s, o, balance)
	m.Norm.Backward(s.dy, s.dNorm, s.x[len(m.Blocks)], s.rstd)
	for i := len(m.Blocks) - 1; i >= 0; i-- {
		if m.recompute && i < len(m.Blocks)-1 {
			m.Blocks[i].Forward(s.again, s.x[i], &s.rows, &s.blocks[i])
		}
		m.dev.Zero(s.dx)
		m.Blocks[i].Backward(s.dx, s.dy, &s.rows, balance, &s.blocks[i], s.grads(m.Blocks[i]))
		s.dx, s.dy = s.dy, s.dx
	}
	m.Embedding.Backward(s.dy, s.rows.ids)
	ran := m.layers
	if loss.MTP == nil {
		ran = m.layers[:len(m.Blocks)]
	}
	loss.Balance = m.afterRouting(s, ran, balance)
	return loss
}

// mtpGradients runs the MTP modules forward and backward, adding the gradient of h^0 to s.dy.
func (m *Model) mtpGradients(s *State, o Objective, balance float32) []float64 {
	if len(m.MTP) == 0 || o.MTPWeight == 0 {
		return nil
	}
	h := s.x[len(m.Blocks)]
	for k, p := range m.MTP {
		p.Forward(h, &s.rows, &s.mtp[k])
		h = s.mtp[k].h
		m.dev.Zero(s.mtp[k].dH)
	}
	for k := len(m.MTP) - 1; k >= 0; k-- {
		dhPrev := s.dy
		if k > 0 {
			dhPrev = s.mtp[k-1].dH
		}
		m.dev.Zero(s.dx)
		s.mtpLosses[k] = m.headLoss(s, s.dx, s.mtp[k].norm, s.mtp[k].targets, o.Whole.Targets[k+1], o.MTPWeight/float64(len(m.MTP)))
		m.MTP[k].Backward(dhPrev, s.dx, &s.rows, balance, &s.mtp[k], s.grads(m.MTP[k].Block))
	}
	return s.mtpLosses
}

// Count adds what b has to c.
func (m *Model) Count(c *Count, b Batch) {
	if len(c.Targets) == 0 {
		c.Targets = make([]int, len(m.MTP)+1)
	}
	for j, lo := range b.Starts[:len(b.Starts)-1] {
		for i, target := range b.Targets[lo:b.Starts[j+1]] {
			if target < 0 {
				continue
			}
			for depth := range min(i, len(m.MTP)) + 1 { // depth k's target of row i-k
				c.Targets[depth]++
			}
		}
	}
	c.Sequences += len(b.Starts) - 1
}

// headLoss returns the loss of one depth, a mean over targets, and adds weight times its gradient to dx and the head.
func (m *Model) headLoss(s *State, dx, x, deviceTargets tensor.Mat, targets int, weight float64) float64 {
	if targets == 0 {
		return 0
	}
	m.dev.HeadLoss(s.loss, dx, m.Head.G, x, m.Head.W, deviceTargets, tensor.Mat{}, float32(weight/float64(targets)), m.precision)
	m.dev.Read(s.losses, s.loss)
	sum := 0.0
	for _, l := range s.losses {
		sum += float64(l)
	}
	return sum / float64(targets)
}

// weighedLoss is o.Weigh's value, with the gradient that follows from it for the final norm's output and the head.
func (m *Model) weighedLoss(s *State, o Objective) float64 {
	clear(s.slopes)
	loss := o.Weigh(m.nll(s), s.slopes)
	m.dev.Upload(s.slope, s.slopes)
	m.dev.HeadLoss(s.loss, s.dNorm, m.Head.G, s.norm, m.Head.W, s.rows.targets, s.slope, 1, m.precision)
	return loss
}

// afterRouting counts the loads of the gates of the layers that ran and returns the balance loss.
func (m *Model) afterRouting(s *State, ran []*Block, balance float32) (sum float64) {
	for i, l := range ran {
		if l.MoE == nil {
			continue
		}
		g, r := l.MoE.Gate, s.block(i).moe.gate.routing
		m.dev.AddLoad(g.Load, r)
		if balance != 0 {
			sum += m.dev.BalanceLoss(r, g.spec, balance, s.rows.starts)
		}
	}
	return sum
}

// Balance is how evenly a step's tokens went to the experts.
type Balance struct {
	MaxVio float64     // the largest (max load - mean load) / mean load of any layer
	Load   [][]float32 // by mixture, MTP modules last: each expert's load over the mean; valid until the next call
}

// UpdateBiases ends a step: it moves every gate's bias by speed and forgets the loads. It reads them from the device.
func (m *Model) UpdateBiases(speed float64) Balance {
	b := Balance{Load: m.loads}
	mixture := 0
	for _, l := range m.layers {
		if l.MoE == nil {
			continue
		}
		g, load := l.MoE.Gate, m.loads[mixture]
		mixture++
		m.dev.Read(load, g.Load)
		mean := float32(0)
		for _, n := range load {
			mean += n / float32(len(load))
		}
		for e := range load {
			load[e] /= max(mean, 1e-9)
			b.MaxVio = max(b.MaxVio, float64(load[e])-1)
		}
		g.UpdateBias(float32(speed))
	}
	return b
}

// ZeroGradients forgets all gradients.
func (m *Model) ZeroGradients() {
	for _, p := range m.params {
		if !p.G.IsZero() {
			m.dev.Zero(p.G)
		}
	}
}
