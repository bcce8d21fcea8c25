package engine

import (
	"sprat/device"
	"sprat/model"
	"sprat/sched"
)

// step is the space of run for one step.
type step struct {
	pass    *model.Pass
	vocab   int
	model   model.Step
	logits  []float32
	results []sched.Result
	sampled []int32 // [work] the row of logits, or -1
	routed  []routed
	tokens  []int32   // [work] what was sampled, for results to look into
	experts [][]int32 // by mixture, [rows·K]: for those who want them
	k       int
}

// routed are rows of a step whose experts a stream wants.
type routed struct {
	stream             *Stream
	first, rows, start int
}

func (s *step) init(p *model.Packed, opt Options) {
	rows := opt.Chunk + opt.Sequences
	s.pass, s.vocab = p.NewPass(rows, opt.Sequences), p.Config.VocabSize
	s.logits = make([]float32, opt.Sequences*s.vocab)
	s.tokens = make([]int32, opt.Sequences)
	s.results = make([]sched.Result, 0, opt.Sequences)
	s.k = p.Config.NumExpertsPerTok
	for range p.Mixtures() {
		s.experts = append(s.experts, make([]int32, rows*s.k))
	}
}

// advance runs a batch, samples, and tells the scheduler and the streams.
func (e *Engine) advance(b *sched.Batch) {
	for _, c := range b.Copies {
		e.dev.CopyPage(e.pages, int(c.From), int(c.To), c.Rows)
	}
	s := &e.step
	e.lay(b)
	s.model.Experts = nil
	if len(s.routed) > 0 {
		s.model.Experts = s.experts
	}
	e.packed.Run(s.pass, e.pages, s.model, s.logits)
	for _, r := range s.routed {
		r.stream.route(s.experts, s.k, r.first, r.rows, r.start)
	}
	s.results = s.results[:0]
	for i, w := range b.Work {
		s.results = append(s.results, e.sample(i, w))
	}
	e.sched.Commit(b, s.results)
	for q, stream := range e.streams {
		switch q.State() {
		case sched.Stopped:
			e.end(q, stream, Stopped, nil)
		case sched.Full:
			e.end(q, stream, Full, nil)
		}
	}
}

// lay puts a batch's rows one after another, those that are computed in the absorbed form first.
func (e *Engine) lay(b *sched.Batch) {
	s := &e.step
	m := &s.model
	m.IDs, m.Pos, m.Contexts, m.Logits = m.IDs[:0], m.Pos[:0], m.Contexts[:0], m.Logits[:0]
	s.sampled, s.routed = s.sampled[:0], s.routed[:0]
	for range b.Work {
		s.sampled = append(s.sampled, -1)
	}
	for i, w := range b.Work {
		if !e.explicit(w) {
			e.layOne(i, w)
		}
	}
	m.Absorbed = len(m.Contexts)
	for i, w := range b.Work {
		if e.explicit(w) {
			e.layOne(i, w)
		}
	}
}

// explicit tells in which form w is computed: a prompt in the one that suits its length, decided once, and what follows it in the
// absorbed form.
func (e *Engine) explicit(w sched.Work) bool {
	s := e.streams[w.Seq]
	if !s.started {
		s.started, s.explicit = true, w.Seq.Prompt()-w.Seq.Cached() >= e.absorbed
		s.mu.Lock()
		s.usage.Cached = w.Seq.Cached()
		s.mu.Unlock()
		e.admit(s)
	}
	return s.explicit && w.Phase == sched.Prefill
}

func (e *Engine) layOne(i int, w sched.Work) {
	s := &e.step
	m := &s.model
	first := len(m.IDs)
	m.IDs = append(m.IDs, w.IDs...)
	for j := range w.IDs {
		m.Pos = append(m.Pos, int32(w.Start+j))
	}
	m.Contexts = append(m.Contexts, device.Context{First: first, Rows: len(w.IDs), Past: w.Start, Table: w.Pages})
	if stream := e.streams[w.Seq]; stream.request.Experts {
		s.routed = append(s.routed, routed{stream, first, len(w.IDs), w.Start})
	}
	if w.Sample {
		s.sampled[i] = int32(len(m.Logits))
		m.Logits = append(m.Logits, int32(len(m.IDs)-1))
	}
}

// sample draws the token that follows work i.
func (e *Engine) sample(i int, w sched.Work) sched.Result {
	s, at := &e.step, e.step.sampled[i]
	if at < 0 {
		return sched.Result{}
	}
	stream := e.streams[w.Seq]
	t, err := stream.sampler.Next(s.logits[int(at)*s.vocab:][:s.vocab])
	if err != nil {
		e.sched.Cancel(w.Seq)
		e.end(w.Seq, stream, Failed, err)
		return sched.Result{}
	}
	s.tokens[i] = t.ID
	stop, mark := stream.watcher.ends(t.ID)
	stream.push(t, !mark)
	return sched.Result{Tokens: s.tokens[i : i+1], Stop: stop}
}
