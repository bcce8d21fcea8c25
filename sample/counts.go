package sample

import (
	"cmp"
	"slices"
)

// counts are the tokens that penalties apply to.
type counts struct {
	repetition, frequency, presence float64
	seen                            []count // by id; empty if all penalties are off
}

type count struct {
	id int32
	n  int32 // times in the continuation; 0 of a token of the prompt alone
}

func newCounts(o *Options, prompt []int32) counts {
	c := counts{repetition: o.RepetitionPenalty, frequency: o.FrequencyPenalty, presence: o.PresencePenalty}
	if c.repetition == 0 {
		c.repetition = 1
	}
	if c.repetition != 1 {
		ids := slices.Clone(prompt)
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			c.seen = append(c.seen, count{id: id})
		}
	}
	return c
}

func (c *counts) off() bool { return c.repetition == 1 && c.frequency == 0 && c.presence == 0 }

func (c *counts) add(id int32) {
	if c.off() {
		return
	}
	i, found := slices.BinarySearchFunc(c.seen, id, func(s count, id int32) int { return cmp.Compare(s.id, id) })
	if !found {
		c.seen = slices.Insert(c.seen, i, count{id: id})
	}
	c.seen[i].n++
}

func (c *counts) penalise(x []float32) {
	for _, s := range c.seen {
		l := float64(x[s.id])
		if l > 0 {
			l /= c.repetition
		} else {
			l *= c.repetition
		}
		if s.n > 0 {
			l -= c.frequency*float64(s.n) + c.presence
		}
		x[s.id] = float32(l)
	}
}
