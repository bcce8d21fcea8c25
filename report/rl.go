package report

import (
	"errors"
	"math"
	"strings"
	"unicode"
)

// RL is what a step of reinforcement learning was like, beside its [Step]: means over the samples that were drawn, or over their tokens.
type RL struct {
	Step                   int     `json:"step"`
	Reward                 float64 `json:"reward"`
	Accuracy               float64 `json:"accuracy"`
	Format                 float64 `json:"format"`
	Length                 float64 `json:"length"`     // tokens a sample
	KL                     float64 `json:"kl"`         // to the reference, nats a token
	Entropy                float64 `json:"entropy"`    // nats a token
	ClipShare              float64 `json:"clip_share"` // of the tokens, those whose gradient the clipping took
	Mismatch               float64 `json:"mismatch"`   // mean |log p of the engine − log p of the trainer|
	Right                  float64 `json:"right"`      // share of the groups with every sample right: nothing to learn from
	Wrong                  float64 `json:"wrong"`      // and with none
	Dropped                float64 `json:"dropped"`    // samples cut at the length limit
	RolloutTokensPerSecond float64 `json:"rollout_tokens_per_second"`
	RolloutSeconds         float64 `json:"rollout_seconds"`
	TrainSeconds           float64 `json:"train_seconds"`
}

// Exam is how a run did on the held-out problems of one family, before its first step or after any.
type Exam struct {
	Step     int     `json:"step"`
	Tokens   int64   `json:"tokens"`
	Seconds  float64 `json:"seconds"`
	Family   string  `json:"family"`
	Problems int     `json:"problems"`
	Samples  int     `json:"samples"`  // of each problem
	Pass     float64 `json:"pass"`     // pass@1: the mean over problems and samples
	Error    float64 `json:"error"`    // its standard error
	Length   float64 `json:"length"`   // mean tokens of thought
	Unformed float64 `json:"unformed"` // share of the replies that could not be read
}

// Transcript is what the model wrote to a held-out problem. The page shows the same problem at successive steps side by side.
type Transcript struct {
	Step     int    `json:"step"`
	Family   string `json:"family"`
	Question string `json:"question"`
	Answer   string `json:"answer"` // the right one
	Reply    string `json:"reply"`  // with its <think> tags
	Right    bool   `json:"right"`
}

// RL writes what a step was like, after its Step.
func (w *Writer) RL(v RL) error {
	l := w.line.open("rl")
	l.integer("step", int64(v.Step))
	w.values = append(w.values[:0], scalar("reward", v.Reward), scalar("accuracy", v.Accuracy), scalar("format", v.Format),
		scalar("length", v.Length), scalar("kl", v.KL), scalar("entropy", v.Entropy), scalar("clip_share", v.ClipShare),
		scalar("mismatch", v.Mismatch), scalar("right", v.Right), scalar("wrong", v.Wrong), scalar("dropped", v.Dropped),
		scalar("rollout_tokens_per_second", v.RolloutTokensPerSecond), scalar("rollout_seconds", v.RolloutSeconds),
		scalar("train_seconds", v.TrainSeconds))
	for _, v := range w.values {
		l.number(v.Tag, v.Value)
	}
	return errors.Join(w.write(), w.events.Scalars(v.Step, w.values...))
}

// Exam writes a family's result.
func (w *Writer) Exam(v Exam) error {
	l := w.line.open("exam")
	l.progress(v.Step, v.Tokens, v.Seconds)
	l.text("family", v.Family)
	l.integer("problems", int64(v.Problems))
	l.integer("samples", int64(v.Samples))
	l.number("pass", v.Pass)
	l.number("error", v.Error)
	l.number("length", v.Length)
	l.number("unformed", v.Unformed)
	return errors.Join(w.write(), w.events.Scalars(v.Step, scalar("pass/"+v.Family, v.Pass), scalar("thought/"+v.Family, v.Length)))
}

// Transcript writes what the model wrote.
func (w *Writer) Transcript(v Transcript) error {
	l := w.line.open("transcript")
	l.integer("step", int64(v.Step))
	l.text("family", v.Family)
	l.text("question", v.Question)
	l.text("answer", v.Answer)
	l.text("reply", v.Reply)
	l.boolean("right", v.Right)
	return w.write()
}

func (r *reader) rl(v RL) {
	n := len(r.run.RLs)
	if sane(v.Step, 0, 0) && n < maxSteps && (n == 0 || v.Step > r.run.RLs[n-1].Step) {
		r.run.RLs = append(r.run.RLs, v)
	}
}

func (r *reader) exam(v Exam) {
	n := len(r.run.Exams)
	if !sane(v.Step, v.Tokens, v.Seconds) || n == maxValids || n > 0 && v.Step < r.run.Exams[n-1].Step {
		return
	}
	r.evaluated(v.Step, v.Tokens, v.Seconds)
	v.Family = clip(v.Family)
	for i := n - 1; i >= max(0, n-maxSources) && r.run.Exams[i].Step == v.Step; i-- {
		if r.run.Exams[i].Family == v.Family { // sat again, after a session that was killed
			r.run.Exams[i] = v
			return
		}
	}
	r.run.Exams = append(r.run.Exams, v)
}

func (r *reader) transcript(v Transcript) {
	n := len(r.run.Transcripts)
	if !sane(v.Step, 0, 0) || n == maxWritten || n > 0 && v.Step < r.run.Transcripts[n-1].Step {
		return
	}
	v.Family = clip(v.Family)
	for _, text := range []*string{&v.Question, &v.Answer, &v.Reply} {
		*text = legible(*text)
	}
	r.run.Transcripts = append(r.run.Transcripts, v)
}

// legible bounds what a model wrote, at its middle, and shows what could not be seen of it.
func legible(s string) string {
	if len(s) > maxText {
		s = s[:maxText/2] + "\n[…]\n" + s[len(s)-maxText/2:]
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// noRL is an RL whose every number is yet to be read.
func noRL() RL {
	nan := math.NaN()
	return RL{Reward: nan, Accuracy: nan, Format: nan, Length: nan, KL: nan, Entropy: nan, ClipShare: nan, Mismatch: nan, Right: nan, Wrong: nan,
		Dropped: nan, RolloutTokensPerSecond: nan, RolloutSeconds: nan, TrainSeconds: nan}
}
