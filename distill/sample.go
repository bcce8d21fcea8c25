// Package distill has one model teach another: a teacher that the engine runs solves problems, and what it got right is what a student
// is fine-tuned on. The text is in between, so that the two may differ in everything, tokenizers too. Where teacher and student are of
// one line, the last a base model, this is R1's rejection sampling (DeepSeek-R1, section 2.3.3).
package distill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"sprat/atomicfile"
	"sprat/chat"
	"sprat/device/cpu"
	"sprat/engine"
	"sprat/eval"
	"sprat/progress"
	"sprat/reward"
	"sprat/runfile"
	"sprat/tasks"
)

// Teacher is the [teacher] table of a run file: who is asked what, and what of the replies is kept.
type Teacher struct {
	Model    string            `toml:"model"`    // its directory
	Weights  string            `toml:"weights"`  // how the engine keeps them; empty: as they are stored
	Problems []reward.Problems `toml:"problems"` // what to ask
	Count    int               `toml:"count"`    // how many problems
	Samples  int               `toml:"samples"`  // of each
	Most     int               `toml:"most"`     // of each, that are kept: the first that are right

	Temperature float64 `toml:"temperature"`
	TopP        float64 `toml:"top_p"`
	MaxTokens   int     `toml:"max_tokens"`
	Threads     int     `toml:"threads"`
}

// DefaultTeacher asks at temperature 1, as R1's samples for its second fine-tuning were drawn.
func DefaultTeacher() Teacher {
	return Teacher{Count: 1000, Samples: 4, Most: 1, Temperature: 1, MaxTokens: 512}
}

// Check says what is wrong with t, if anything, by its keys in a run file.
func (t *Teacher) Check() error {
	if t.Model == "" {
		return errors.New("teacher.model is missing: name the directory of the model to learn from")
	}
	if _, err := reward.NewQuestions(t.Problems); err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	if _, err := engine.ParseWeights(t.Weights); err != nil {
		return fmt.Errorf("teacher.weights: %w", err)
	}
	for _, n := range []struct {
		key   string
		value float64
		low   float64
	}{
		{"teacher.count", float64(t.Count), 1}, {"teacher.samples", float64(t.Samples), 1}, {"teacher.most", float64(t.Most), 1},
		{"teacher.temperature", t.Temperature, 0}, {"teacher.top_p", t.TopP, 0}, {"teacher.max_tokens", float64(t.MaxTokens), 1},
		{"teacher.threads", float64(t.Threads), 0},
	} {
		if err := runfile.AtLeast(n.key, n.value, n.low); err != nil {
			return err
		}
	}
	if t.Samples > maxSamples {
		return fmt.Errorf("teacher.samples is %d: want at most %d", t.Samples, maxSamples)
	}
	return nil
}

const (
	maxSamples = 1024
	round      = 64 // problems asked at a time, and lost where the program is killed
)

// Files in a run's directory.
const (
	SamplesFile  = "samples.jsonl" // what was kept: a conversation a line, as data's chat sources read them
	progressFile = "samples.json"
)

// sampled is how far the teacher has come: what SamplesFile holds up to Size is of the first Next problems.
type sampled struct {
	Teacher string  `json:"teacher"` // the run file's part that decides the samples
	Next    int     `json:"next"`
	Size    int64   `json:"size"`
	Asked   int     `json:"asked"`  // problems, each once
	Right   int     `json:"right"`  // samples
	Drawn   int     `json:"drawn"`  // samples
	Kept    int     `json:"kept"`   // samples
	Tokens  int64   `json:"tokens"` // generated
	Seconds float64 `json:"seconds"`
}

// teaching is a Sample under way.
type teaching struct {
	t               *Teacher
	seed            uint64
	questions       reward.Questions
	thinking, plain reward.Form
	engine          *engine.Engine
	at              sampled
	out             *os.File
	dir             string
	seen            map[string]bool                                             // problems that were asked
	answer          func(ctx context.Context, batch []*asked, think bool) error // ask, but in tests
}

// Sample has the teacher solve problems and writes what it got right to SamplesFile in dir. With resume it goes on where an earlier
// call was cut off, whenever that was. The samples depend on t, the teacher's weights and the seed, never on interruptions.
func Sample(ctx context.Context, t *Teacher, seed uint64, dir string, resume bool, w io.Writer) (err error) {
	s, err := begin(t, seed, dir, resume)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.out.Close()) }()
	if s.at.Next >= t.Count {
		fmt.Fprintf(w, "teacher: %s, made earlier\n", s.at)
		return nil
	}
	dev := cpu.New(t.Threads)
	defer dev.Close()
	if err := s.load(dev); err != nil {
		return fmt.Errorf("teacher %s: %w", t.Model, err)
	}
	defer s.engine.Close()
	return s.sample(ctx, w)
}

// begin opens what there is of the samples, or begins them.
func begin(t *Teacher, seed uint64, dir string, resume bool) (s *teaching, err error) {
	s = &teaching{t: t, seed: seed, dir: dir, seen: map[string]bool{}}
	s.answer = s.ask
	if s.questions, err = reward.NewQuestions(t.Problems); err != nil {
		return nil, err
	}
	if err := s.open(resume); err != nil {
		return nil, err
	}
	for i := range s.at.Next {
		s.draw(i)
	}
	return s, nil
}

// sample goes through the rounds that are left.
func (s *teaching) sample(ctx context.Context, w io.Writer) error {
	bar := progress.New(w, int64(s.t.Count), int64(s.at.Next))
	defer bar.End()
	for s.at.Next < s.t.Count {
		if err := s.round(ctx); err != nil {
			return err
		}
		bar.Show(int64(s.at.Next), s.at.String)
	}
	return nil
}

func (s sampled) String() string {
	return fmt.Sprintf("%d problems asked, %.0f %% of %d samples right, %d kept", s.Asked, 100*float64(s.Right)/float64(max(1, s.Drawn)), s.Drawn, s.Kept)
}

// open opens the samples' file, cut to what is certain of it.
func (s *teaching) open(resume bool) error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	identity, err := json.Marshal(struct {
		Teacher Teacher
		Seed    uint64
	}{*s.t, s.seed})
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, progressFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &s.at); err != nil {
			return fmt.Errorf("%s: %w: remove it to draw the samples anew", filepath.Join(s.dir, progressFile), err)
		}
		if !resume && s.at.Next < s.t.Count {
			return fmt.Errorf("%s holds samples of a run that was cut off: give --resume to go on with it, or start another with --set out=DIR", s.dir)
		}
		if s.at.Teacher != string(identity) {
			return fmt.Errorf("%s holds samples of another teacher or other problems: remove %s, or start another run with --set out=DIR", s.dir, SamplesFile)
		}
	}
	s.at.Teacher = string(identity)
	if s.out, err = os.OpenFile(filepath.Join(s.dir, SamplesFile), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if size, err := s.out.Seek(0, io.SeekEnd); err != nil || size < s.at.Size {
		s.out.Close()
		return errors.Join(err, fmt.Errorf("%s is shorter than it was: remove it and %s to draw the samples anew", s.out.Name(), progressFile))
	}
	_, err = s.out.Seek(s.at.Size, io.SeekStart)
	return errors.Join(s.out.Truncate(s.at.Size), err)
}

// load makes an engine of the teacher.
func (s *teaching) load(dev *cpu.Device) error {
	files := os.DirFS(s.t.Model)
	dir, err := engine.OpenDir(files)
	if err != nil {
		return err
	}
	defer dir.Close()
	if dir.Tokenizer == nil {
		return errors.New("it has no tokenizer.json, and questions need one")
	}
	format, err := chat.Load(files, dir.Tokenizer)
	if err != nil {
		return err
	}
	s.thinking, s.plain = reward.Chat(format, true), reward.Chat(format, false)
	weights, _ := engine.ParseWeights(s.t.Weights) // checked
	s.engine, err = engine.New(dir, dev, engine.Options{Weights: weights, Absorbed: true})
	return err
}

// asked is a problem with the replies to it.
type asked struct {
	tasks.Problem
	replies []eval.Sample // by number
}

// round asks the next problems and adds what is kept of them to the file, all of it or, where the program ends here, nothing.
func (s *teaching) round(ctx context.Context) error {
	start := time.Now()
	batches := map[bool][]*asked{} // with a thought, and without
	for end := min(s.at.Next+round, s.t.Count); s.at.Next < end; s.at.Next++ {
		if p, think, ok := s.draw(s.at.Next); ok {
			batches[think] = append(batches[think], &asked{p, make([]eval.Sample, s.t.Samples)})
		}
	}
	var lines bytes.Buffer
	for _, think := range []bool{true, false} {
		if err := s.answer(ctx, batches[think], think); err != nil {
			return err
		}
		for _, a := range batches[think] {
			if err := s.keep(a, &lines); err != nil {
				return err
			}
		}
	}
	n, err := s.out.Write(lines.Bytes())
	if err == nil {
		err = s.out.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing samples: %w", err)
	}
	s.at.Size += int64(n)
	s.at.Seconds += time.Since(start).Seconds()
	text, err := json.Marshal(s.at)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(s.dir, progressFile), text)
}

// draw is problem i of the run, and whether to think about it; !ok where that was asked before.
func (s *teaching) draw(i int) (p tasks.Problem, think, ok bool) {
	p, think = s.questions.Draw(rand.New(rand.NewPCG(s.seed, uint64(i))))
	key := fmt.Sprint(think, p.Key)
	ok = !s.seen[key]
	s.seen[key] = true
	return p, think, ok
}

// ask has the engine answer problems.
func (s *teaching) ask(ctx context.Context, batch []*asked, think bool) error {
	if len(batch) == 0 {
		return nil
	}
	form := s.plain
	if think {
		form = s.thinking
	}
	var problems []tasks.Problem
	byKey := map[string]*asked{}
	for _, a := range batch {
		problems = append(problems, a.Problem)
		byKey[a.Key] = a
	}
	_, err := eval.Run(ctx, s.engine, form, problems, eval.Options{
		Samples: s.t.Samples, Temperature: s.t.Temperature, TopP: s.t.TopP, MaxTokens: s.t.MaxTokens, Seed: s.seed,
		Each: func(r eval.Sample) { byKey[r.Problem.Key].replies[r.Number] = r },
	})
	return err
}

// readable is the least share of a thought's words that are of the language: R1 kept no samples that mix languages (section 2.3.3).
const readable = 0.95

// line is a kept sample. Beside the conversation there is what it was of, for people to look at.
type line struct {
	Messages []message `json:"messages"`
	Family   string    `json:"family"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	Thought string `json:"reasoning_content,omitempty"`
}

// keep counts a problem's replies, and writes the first right ones that differ.
func (s *teaching) keep(a *asked, lines *bytes.Buffer) error {
	s.at.Asked++
	written := map[string]bool{}
	encoder := json.NewEncoder(lines)
	encoder.SetEscapeHTML(false)
	for _, r := range a.replies {
		s.at.Drawn++
		s.at.Tokens += int64(r.Tokens)
		if !r.Right {
			continue
		}
		s.at.Right++
		text, thought := r.Reply.String(), r.Reply.Thought
		if len(written) >= s.t.Most || written[text] || thought != "" && reward.Language(thought) < readable {
			continue
		}
		written[text] = true
		s.at.Kept++
		err := encoder.Encode(line{[]message{
			{Role: string(chat.User), Content: a.Question},
			{Role: string(chat.Assistant), Content: r.Reply.Said, Thought: thought},
		}, a.Family})
		if err != nil {
			return err
		}
	}
	return nil
}
