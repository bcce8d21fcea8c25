package model

import (
	"sprat/tensor"
)

// Objective weighs the parts of the loss: main + MTPWeight/depths · Σ_k mtp_k + balance, the latter with factor Balance (α).
type Objective struct {
	MTPWeight float64
	Balance   float64
}

// Loss is a batch's, each part a mean over its own targets in nats, unweighted; Balance is already multiplied by α.
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

	// gradients, for training alone
	dx, dy, dNorm tensor.Mat // [T, D]
	dense, moe    blockGrads
}

// NewState allocates for batches of t tokens. Without train the state serves Logits and Evaluate only.
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
		if train || !ok {
			saved = l.newSaved(t)
			last[isMoE] = saved
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
		s.dx, s.dy, s.dNorm = mat(d, tensor.F32), mat(d, tensor.F32), mat(d, tensor.F32)
		for _, l := range m.layers() {
			if g := s.grads(l); g.h.IsZero() {
				*g = l.newGrads(t)
			}
		}
	}
	return s
}

func (s *State) grads(l *Block) *blockGrads {
	if l.MoE != nil {
		return &s.moe
	}
	return &s.dense
}

// upload puts b, and the shifted tokens of each MTP depth, onto the device. The batch's length is the state's.
func (m *Model) upload(s *State, b Batch) {
	s.rows.starts = b.Starts
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
	m.dev.HeadLoss(s.loss, tensor.Mat{}, tensor.Mat{}, s.norm, m.Head.W, s.rows.targets, 0, m.precision)
	m.dev.Read(s.losses, s.loss)
	return s.losses
}

// Gradients computes the loss of b and adds its derivative to every parameter's G. The gates' loads count the batch.
func (m *Model) Gradients(s *State, b Batch, o Objective) Loss {
	m.forward(s, b)
	for _, z := range []tensor.Mat{s.dNorm, s.dy} {
		m.dev.Zero(z)
	}
	var loss Loss
	balance := float32(o.Balance)
	loss.Main = m.headLoss(s, s.dNorm, s.norm, s.rows.targets, b.Targets, 0, 1, b)
	loss.MTP = m.mtpGradients(s, b, o)
	m.Norm.Backward(s.dy, s.dNorm, s.x[len(m.Blocks)], s.rstd)
	for i := len(m.Blocks) - 1; i >= 0; i-- {
		m.dev.Zero(s.dx)
		m.Blocks[i].Backward(s.dx, s.dy, &s.rows, balance, &s.blocks[i], s.grads(m.Blocks[i]))
		s.dx, s.dy = s.dy, s.dx
	}
	m.Embedding.Backward(s.dy, s.rows.ids)
	loss.Balance = m.afterRouting(s, balance)
	return loss
}

// mtpGradients runs the MTP modules forward and backward, adding the gradient of h^0 to s.dy.
func (m *Model) mtpGradients(s *State, b Batch, o Objective) []float64 {
	if len(m.MTP) == 0 || o.MTPWeight == 0 {
		return nil
	}
	losses := make([]float64, len(m.MTP))
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
		losses[k] = m.headLoss(s, s.dx, s.mtp[k].norm, s.mtp[k].targets, b.Targets, k+1, o.MTPWeight/float64(len(m.MTP)), b)
		m.MTP[k].Backward(dhPrev, s.dx, &s.rows, float32(o.Balance), &s.mtp[k], s.grads(m.MTP[k].Block))
	}
	return losses
}

// headLoss returns the mean loss over the targets of one depth and adds weight times its gradient to dx and the head.
func (m *Model) headLoss(s *State, dx, x, deviceTargets tensor.Mat, targets []int32, depth int, weight float64, b Batch) float64 {
	valid := 0
	for j, lo := range b.Starts[:len(b.Starts)-1] {
		for i := int(lo) + depth; i < int(b.Starts[j+1]); i++ {
			if targets[i] >= 0 {
				valid++
			}
		}
	}
	if valid == 0 {
		return 0
	}
	m.dev.HeadLoss(s.loss, dx, m.Head.G, x, m.Head.W, deviceTargets, float32(weight/float64(valid)), m.precision)
	m.dev.Read(s.losses, s.loss)
	sum := 0.0
	for _, l := range s.losses {
		sum += float64(l)
	}
	return sum / float64(valid)
}

// afterRouting counts the gates' loads and returns the balance loss.
func (m *Model) afterRouting(s *State, balance float32) float64 {
	sum := 0.0
	count := func(l *Block, saved *blockSaved) {
		if l.MoE == nil {
			return
		}
		g, r := l.MoE.Gate, saved.moe.gate.routing
		m.dev.AddLoad(g.Load, r)
		if balance != 0 {
			sum += m.dev.BalanceLoss(r, g.spec, balance, s.rows.starts)
		}
	}
	for i, l := range m.Blocks {
		count(l, &s.blocks[i])
	}
	for k, p := range m.MTP {
		count(p.Block, &s.mtp[k].block)
	}
	return sum
}

// UpdateBiases ends a step: it moves every gate's bias by speed and returns MaxVio, the largest (max load - mean load) /
// mean load of any layer. It reads the loads from the device.
func (m *Model) UpdateBiases(speed float64) (maxVio float64) {
	load := make([]float32, m.Config.NRoutedExperts)
	for g := range m.gates() {
		m.dev.Read(load, g.Load)
		sum, most := 0.0, 0.0
		for _, n := range load {
			sum += float64(n)
			most = max(most, float64(n))
		}
		if mean := sum / float64(len(load)); mean > 0 {
			maxVio = max(maxVio, most/mean-1)
		}
		g.UpdateBias(float32(speed))
	}
	return maxVio
}

// ZeroGradients forgets all gradients.
func (m *Model) ZeroGradients() {
	for _, p := range m.params {
		if !p.G.IsZero() {
			m.dev.Zero(p.G)
		}
	}
}
