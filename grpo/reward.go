package grpo

import "sprat/reward"

// grade reads a group's samples, rewards them, and sets their advantages. What the limit cut off isn't an answer; with OverlongDrop it
// has no advantage either.
func (r *RL) grade(g *group) {
	rewards := make([]float64, len(g.samples))
	for i := range g.samples {
		c := &g.samples[i]
		c.reply = g.form.Read(c.ids[:c.said], !c.cut)
		accuracy := reward.Accuracy(g.problem, c.reply)
		c.right = accuracy > 0
		c.reward = r.Accuracy*accuracy + r.Format*reward.Format(c.reply)
		if g.form.Thinks() {
			c.reward += r.Language * reward.Language(c.reply.Thought)
		}
		if r.Overlong == OverlongSoft {
			c.reward += overlong(len(c.ids), r.MaxTokens, r.Buffer)
		}
		rewards[i] = c.reward
	}
	for i, a := range r.Advantages(rewards) {
		if c := &g.samples[i]; !c.cut || r.Overlong != OverlongDrop {
			c.advantage = a
		}
	}
}

// overlong is DAPO's soft punishment of length (equation 13): nothing up to limit−buffer tokens, −1 at the limit, a straight line
// between.
func overlong(tokens, limit, buffer int) float64 {
	switch over := tokens - (limit - buffer); {
	case over <= 0:
		return 0
	case tokens > limit:
		return -1
	default:
		return -float64(over) / float64(buffer)
	}
}
