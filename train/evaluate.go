package train

import (
	"math"

	"sprat/data"
	"sprat/model"
	"sprat/report"
)

// evaluate records the loss on each source's validation text, with the averaged weights where there are any.
func (r *run) evaluate() error {
	if r.average != nil {
		r.average.Swap()
		defer r.average.Swap()
	}
	for _, v := range r.set.Valid() {
		sum, tokens, err := r.loss(v)
		if err != nil {
			return err
		}
		nats := sum / float64(tokens)
		bits := nats / math.Ln2 * float64(v.Targets) / float64(v.Bytes)
		r.bar.Line("step %d  %s: %.4f nats a token, %.4f bits a byte", r.at.Step, v.Name, nats, bits)
		line := report.Valid{Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.seconds(), Source: v.Name, Nats: nats, BitsPerByte: bits}
		if err := r.record.Valid(line); err != nil {
			return err
		}
	}
	return nil
}

// loss sums the losses of v's first tokens, train.valid_tokens of them or a pass more, in nats.
func (r *run) loss(v *data.Valid) (sum float64, tokens int, err error) {
	b, seq := model.Batch{IDs: r.passes[0].IDs, Targets: r.passes[0].Targets}, r.c.Train.Sequence
	pass := func() {
		for _, l := range r.model.Evaluate(r.valid, b) {
			sum += float64(l)
		}
		for _, target := range b.Targets {
			if target >= 0 {
				tokens++
			}
		}
	}
	filled := 0
	for w, err := range v.Windows(seq) {
		if err != nil {
			return 0, 0, err
		}
		if filled == 0 {
			b.Starts = b.Starts[:0]
		}
		for _, start := range w.Starts {
			b.Starts = append(b.Starts, int32(filled)+start)
		}
		copy(b.IDs[filled:], w.IDs)
		copy(b.Targets[filled:], w.Targets)
		if filled += seq; filled < len(b.IDs) {
			continue
		}
		b.Starts = append(b.Starts, int32(filled))
		pass()
		if filled = 0; tokens >= r.c.Train.ValidTokens {
			return sum, tokens, nil
		}
	}
	if filled == 0 {
		return sum, tokens, nil
	}
	for ; filled < len(b.IDs); filled += seq { // rows that are not there count for nothing
		b.Starts = append(b.Starts, int32(filled))
		for i := filled; i < filled+seq; i++ {
			b.Targets[i] = -1
		}
	}
	b.Starts = append(b.Starts, int32(filled))
	pass()
	return sum, tokens, nil
}
