package grpo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"sprat/checkpoint"
	"sprat/eval"
	"sprat/report"
	"sprat/reward"
	"sprat/train"
)

// show records a step and shows it in a line.
func (r *run) show(all []group, l learned, rollout, learning time.Duration) error {
	line := report.RL{
		Step: r.at.Step, KL: l.KL / float64(max(1, l.refs)), ClipShare: float64(l.Clipped) / float64(max(1, l.Tokens)),
		Mismatch: l.mismatch / float64(max(1, l.compared)), RolloutSeconds: rollout.Seconds(), TrainSeconds: learning.Seconds(),
	}
	samples, tokens := 0.0, 0.0
	for i := range all {
		g := &all[i]
		switch g.pass() {
		case 1:
			line.Right += 1 / float64(len(all))
		case 0:
			line.Wrong += 1 / float64(len(all))
		}
		for j := range g.samples {
			c := &g.samples[j]
			samples++
			tokens += float64(len(c.ids))
			line.Reward += c.reward
			line.Format += reward.Format(c.reply)
			if c.right {
				line.Accuracy++
			}
			if c.cut {
				line.Dropped++
			}
			for _, p := range c.logProbs {
				line.Entropy -= float64(p)
			}
		}
	}
	for _, v := range []*float64{&line.Reward, &line.Accuracy, &line.Format} {
		*v /= samples
	}
	line.Length, line.Entropy = tokens/samples, line.Entropy/tokens
	line.RolloutTokensPerSecond = tokens / rollout.Seconds()
	speed := float64(l.tokens) / max(learning.Seconds(), 1e-9)
	step := report.Step{
		Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.seconds(), Loss: l.Loss, LR: r.c.rate(r.at.Step - 1), GradNorm: l.norm, MaxVio: l.maxVio,
		Batch: int(samples), TokensPerSecond: speed, PeakShare: speed * r.flops / r.peak, Skipped: l.tokens == 0,
	}
	if err := errors.Join(r.record.Step(step), r.record.RL(line)); err != nil {
		return err
	}
	r.bar.Show(int64(r.at.Step), func() string {
		return fmt.Sprintf("step %d  reward %.3f  right %.3f  length %.0f  kl %.4f  entropy %.3f  clipped %.3f  %.0f tokens/s drawn, %.0f learned, %.2f of peak",
			line.Step, line.Reward, line.Accuracy, line.Length, line.KL, line.Entropy, line.ClipShare, line.RolloutTokensPerSecond, speed, step.PeakShare)
	})
	return nil
}

// NoThought ends a family's name in an exam that is answered at once.
const NoThought = ", no thought"

// exam asks held-out problems, with a thought and, where the run has questions without one, also so.
func (r *run) exam(ctx context.Context) error {
	if err := r.ask(ctx, r.thinking, ""); err != nil {
		return err
	}
	if r.drawn.Plain() {
		return r.ask(ctx, r.plain, NoThought)
	}
	return nil
}

func (r *run) ask(ctx context.Context, form reward.Form, suffix string) error {
	x, problems := r.c.Exam, r.heldOut
	kept := map[string]int{} // transcripts of each family
	var replies []eval.Sample
	byKey := map[string]bool{}
	for _, p := range problems {
		if kept[p.Family] < x.Transcripts {
			kept[p.Family]++
			byKey[p.Key] = true
		}
	}
	result, err := eval.Run(ctx, r.engine, form, problems, eval.Options{
		Samples: x.Samples, Temperature: 0.6, TopP: 0.95, MaxTokens: r.c.RL.MaxTokens, Seed: r.c.Seed,
		Each: func(s eval.Sample) {
			if s.Number == 0 && byKey[s.Problem.Key] {
				replies = append(replies, s)
			}
		},
	})
	if err != nil {
		return err
	}
	mean := 0.0
	for _, f := range result.Families {
		line := report.Exam{
			Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.seconds(), Family: f.Family + suffix, Problems: f.Problems, Samples: x.Samples,
			Pass: f.Pass, Error: f.Error, Length: f.Thought, Unformed: f.Unformed,
		}
		if err := r.record.Exam(line); err != nil {
			return err
		}
		mean += f.Pass / float64(len(result.Families))
	}
	for _, s := range replies {
		line := report.Transcript{Step: r.at.Step, Family: s.Problem.Family + suffix, Question: s.Problem.Question, Answer: s.Problem.Answer,
			Reply: s.Reply.String(), Right: s.Right}
		if err := r.record.Transcript(line); err != nil {
			return err
		}
	}
	r.bar.Line("step %d  held out%s: %.1f %% of %d problems", r.at.Step, suffix, 100*mean, len(problems))
	return nil
}

// parts are the matrices that a checkpoint holds.
func (r *run) parts() []checkpoint.Part {
	list := checkpoint.Parts(r.model.Params(), r.opt.State())
	for p := range r.reference.Params() {
		list = append(list, checkpoint.Part{Name: "reference." + p.Name, Shape: p.Shape, M: p.W})
	}
	return list
}

// save starts a checkpoint of the run as it stands, when the one before is written. A disk that was full for that one is said and survived.
func (r *run) save() error {
	if err := r.saver.Wait(); err != nil {
		r.saved = 0
		r.bar.Line("%v; training goes on, and the checkpoint before is kept", err)
	}
	if r.saved == r.at.Step && r.at.Step > 0 {
		return nil
	}
	identity, err := r.c.identity()
	if err != nil {
		return err
	}
	r.at.Origin, r.at.Seconds, r.at.Updates = checkpoint.NewOrigin(identity), r.seconds(), r.opt.Steps
	if err := r.record.Sync(); err != nil {
		return err
	}
	r.saved = r.at.Step
	return r.saver.Save(r.dev.Read, r.parts(), r.at.Step, r.at)
}

// resume takes the run back to its newest checkpoint that can be read, if there is one.
func (r *run) resume() error {
	path, err := checkpoint.Resume(r.c.Out, r.restore, r.w)
	switch {
	case err != nil:
		return err
	case path == "":
		fmt.Fprintf(r.w, "%s holds no checkpoint: starting from the beginning\n", r.c.Out)
		return nil
	}
	r.before, r.saved = r.at.Seconds, r.at.Step
	fmt.Fprintf(r.w, "going on from step %d, %s\n", r.at.Step, path)
	return nil
}

func (r *run) restore(path string) error {
	identity, err := r.c.identity()
	if err != nil {
		return err
	}
	var state progressState
	accept := func() error { return state.Accept(path, identity, r.w) }
	if err := checkpoint.Load(path, r.dev.Upload, r.parts(), &state, accept); err != nil {
		return err
	}
	r.at, r.opt.Steps = state, state.Updates
	return nil
}

// finish writes what the run leaves behind: at its end, or where ctx ended it in the middle of what returned failed.
func (r *run) finish(ctx context.Context, failed error) error {
	if failed != nil && ctx.Err() == nil {
		return failed
	}
	if err := errors.Join(r.save(), r.saver.Wait()); err != nil {
		return err
	}
	if err := train.Save(r.c.Out, r.model, r.tok, r.c.DType, r.template); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: step %d of the run is kept, and the model as it stands is in %s; go on with --resume", report.ErrInterrupted, r.at.Step, r.c.Out)
	}
	fmt.Fprintf(r.w, "wrote %s after %s\n", r.c.Out, time.Duration(math.Round(r.seconds()))*time.Second)
	return nil
}
