package sample

// logprobs are what Options.Logprobs needs of a token's logits, which are overwritten before it is known which came.
type logprobs struct {
	raw   []float32 // the logits
	top   []Likely  // the most likely of them; until report with logits for log probabilities
	same  bool      // what is drawn from is the model's own distribution
	drawn float64   // log Σ e^logit of what was drawn from
}

func (s *Sampler) keep(x []float32) {
	l := &s.logprobs
	l.raw = append(l.raw[:0], x...)
	if n := s.opt.TopLogprobs; n > 0 {
		l.top = make([]Likely, 0, n) // the token's own: it may be kept
		for _, k := range s.largest(x, n) {
			l.top = append(l.top, Likely{keyID(k), float32(keyValue(k))})
		}
	}
}

// report completes t.
func (s *Sampler) report(t *Token) error {
	l := &s.logprobs
	own, lse := float64(l.raw[t.ID]), l.drawn
	if t.Forced || !l.same {
		var err error
		if _, lse, err = weights(l.raw, 1); err != nil {
			return err
		}
	}
	t.Logprob = float32(own - lse)
	for i := range l.top {
		l.top[i].Logprob = float32(float64(l.top[i].Logprob) - lse)
	}
	t.Top = l.top
	return nil
}
