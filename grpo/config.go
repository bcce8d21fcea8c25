package grpo

import (
	"errors"
	"fmt"
	"os"

	"github.com/pelletier/go-toml/v2"

	"sprat/reward"
	"sprat/runfile"
	"sprat/train"
)

// Config is a run file, in TOML. Every key but base and problems has a default: R1-Zero's, with fewer questions a step.
type Config struct {
	Seed     uint64            `toml:"seed"`
	Base     string            `toml:"base"`  // the directory of the model to begin with
	Out      string            `toml:"out"`   // that of the model that is made
	DType    string            `toml:"dtype"` // of its weights: "f32", "bf16" or "fp8"
	RL       RL                `toml:"rl"`
	Problems []reward.Problems `toml:"problems"`
	Exam     Exam              `toml:"exam"`
	Train    Train             `toml:"train"`
	Price    float64           `toml:"price"` // of a core's hour in dollars, for the ledger
}

// RL is what is drawn in a step, what it is worth, and what is minimized.
type RL struct {
	Steps     int    `toml:"steps"`
	Prompts   int    `toml:"prompts"`    // questions a step
	Samples   int    `toml:"samples"`    // of each: the group
	MaxTokens int    `toml:"max_tokens"` // of a sample
	Updates   int    `toml:"updates"`    // of the weights a step: the groups are dealt out to them
	Form      string `toml:"form"`       // FormChat, or FormZero for a base model

	Accuracy float64 `toml:"accuracy"` // weights in the reward: of a right answer,
	Format   float64 `toml:"format"`   // of a reply that is formed as it should be,
	Language float64 `toml:"language"` // of the share of English words in the thought

	Overlong string `toml:"overlong"` // what a sample that meets max_tokens teaches: OverlongWrong, OverlongDrop or OverlongSoft
	Buffer   int    `toml:"buffer"`   // of OverlongSoft: tokens before max_tokens over which its punishment grows to a point

	Objective

	ReferenceEvery int       `toml:"reference_every"` // steps after which the policy becomes the reference; 0: never
	Pass           []float64 `toml:"pass"`            // groups with a share of right samples outside are drawn anew (DAPO, section 3.2)
	Draws          int       `toml:"draws"`           // most times that prompts are drawn in a step
	Replay         bool      `toml:"replay"`          // train with the experts that the rollout chose (V3.2, section 3.1)
}

// How questions are put, and what becomes of samples that the limit cut off.
const (
	FormChat = "chat" // the model's own format, thinking
	FormZero = "zero" // R1-Zero's template

	OverlongWrong = "wrong" // it is no answer
	OverlongDrop  = "drop"  // nothing: it is left out of the loss, but not of the group's mean (DAPO, section 3.4, filtering)
	OverlongSoft  = "soft"  // that, and samples that come near are punished (DAPO, equation 13)
)

// Exam is what the run measures itself by: held-out problems.
type Exam struct {
	Families    []string `toml:"families"`    // those of problems if absent
	Difficulty  float64  `toml:"difficulty"`  // 1 if absent
	Every       int      `toml:"every"`       // steps; 0: none but at the beginning and the end
	Problems    int      `toml:"problems"`    // of each family
	Samples     int      `toml:"samples"`     // of each problem
	Transcripts int      `toml:"transcripts"` // problems of each family whose replies are kept
}

// Train is how weights move.
type Train struct {
	LR          float64 `toml:"lr"`
	Warmup      int     `toml:"warmup"` // steps until lr is reached
	Decay       int     `toml:"decay"`  // steps at the end in which it falls to 0
	Precision   string  `toml:"precision"`
	Optimizer   string  `toml:"optimizer"`
	WeightDecay float64 `toml:"weight_decay"`
	Clip        float64 `toml:"clip"`
	BiasSpeed   float64 `toml:"bias_speed"` // of the gates' biases
	Pass        int     `toml:"pass"`       // tokens of a pass, of which a step has as many as it needs
	Threads     int     `toml:"threads"`
	SaveEvery   int     `toml:"save_every"`
}

func defaults() Config {
	return Config{
		Seed: 1, Out: "out", DType: "f32", Price: train.DefaultPrice,
		RL: RL{
			Steps: 100, Prompts: 16, Samples: 16, MaxTokens: 256, Updates: 1, Form: FormChat,
			Accuracy: 1, Format: 1, Overlong: OverlongWrong, Buffer: 32,
			Objective:      Objective{Spread: true, Mean: PerSample, Ratio: TokenRatio, ClipLow: 0.2, ClipHigh: 0.2, KL: 0.001},
			ReferenceEvery: 400, Draws: 1,
		},
		Exam:  Exam{Every: 50, Problems: 20, Samples: 1, Transcripts: 2},
		Train: Train{LR: 3e-5, Warmup: 5, Precision: "bf16", Optimizer: "adamw", Clip: 1, Pass: 4096, SaveEvery: 20},
	}
}

// Load reads the run file at path and then sets each "key=value" of set.
func Load(path string, set []string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the run file: %w", err)
	}
	c, err := Parse(text, set)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse is Load for the run file's text.
func Parse(text []byte, set []string) (*Config, error) {
	c := defaults()
	if err := runfile.Decode(text, &c); err != nil {
		return nil, err
	}
	for _, s := range set {
		key, value, err := runfile.Cut(s)
		if err != nil {
			return nil, err
		}
		if err := runfile.Set(&c, key, value); err != nil {
			return nil, fmt.Errorf("--set %s: %w", s, err)
		}
	}
	if c.Exam.Difficulty == 0 {
		c.Exam.Difficulty = 1
	}
	return &c, c.check()
}

func (c *Config) check() error {
	if c.Base == "" {
		return errors.New("base is missing: name the directory of the model to begin with")
	}
	questions, err := reward.NewQuestions(c.Problems)
	if err != nil {
		return err
	}
	if len(c.Exam.Families) == 0 {
		c.Exam.Families = questions.Families()
	}
	for _, err := range []error{
		runfile.AtLeast("price", c.Price, 0),
		runfile.OneOf("dtype", c.DType, train.DTypes),
		c.RL.check(), c.Exam.check(), c.Train.check(),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// number is a key with a least value.
type number struct {
	key        string
	value, low float64
}

func checkNumbers(list ...number) error {
	for _, n := range list {
		if err := runfile.AtLeast(n.key, n.value, n.low); err != nil {
			return err
		}
	}
	return nil
}

// maxStepSamples bounds what a step draws, and with it its memory.
const maxStepSamples = 1 << 16

func (r *RL) check() error {
	err := checkNumbers(
		number{"rl.steps", float64(r.Steps), 1}, number{"rl.prompts", float64(r.Prompts), 1}, number{"rl.samples", float64(r.Samples), 2},
		number{"rl.max_tokens", float64(r.MaxTokens), 1}, number{"rl.updates", float64(r.Updates), 1}, number{"rl.buffer", float64(r.Buffer), 1},
		number{"rl.accuracy", r.Accuracy, 0}, number{"rl.format", r.Format, 0}, number{"rl.language", r.Language, 0},
		number{"rl.reference_every", float64(r.ReferenceEvery), 0}, number{"rl.draws", float64(r.Draws), 1},
	)
	switch {
	case err != nil:
		return err
	case r.Prompts > maxStepSamples/r.Samples:
		return fmt.Errorf("rl.prompts x rl.samples is over %d a step: make one smaller", maxStepSamples)
	case r.Updates > r.Prompts:
		return fmt.Errorf("rl.updates is %d: want at most rl.prompts, which is %d", r.Updates, r.Prompts)
	case r.Form != FormChat && r.Form != FormZero:
		return fmt.Errorf("rl.form is %q: want %q or %q", r.Form, FormChat, FormZero)
	case r.Overlong != OverlongWrong && r.Overlong != OverlongDrop && r.Overlong != OverlongSoft:
		return fmt.Errorf("rl.overlong is %q: want %q, %q or %q", r.Overlong, OverlongWrong, OverlongDrop, OverlongSoft)
	case r.Buffer > r.MaxTokens && r.Overlong == OverlongSoft:
		return fmt.Errorf("rl.buffer is %d: want at most rl.max_tokens, which is %d", r.Buffer, r.MaxTokens)
	case r.Accuracy+r.Format+r.Language == 0:
		return errors.New("rl.accuracy, rl.format and rl.language are all 0: there is no reward")
	case len(r.Pass) > 0 && (len(r.Pass) != 2 || !(r.Pass[0] >= 0 && r.Pass[0] <= r.Pass[1] && r.Pass[1] <= 1)):
		return fmt.Errorf("rl.pass is %v: want two shares, rising, as in [0.1, 0.9]", r.Pass)
	}
	return r.Objective.Check()
}

func (x *Exam) check() error {
	return checkNumbers(
		number{"exam.every", float64(x.Every), 0}, number{"exam.problems", float64(x.Problems), 1}, number{"exam.samples", float64(x.Samples), 1},
		number{"exam.transcripts", float64(x.Transcripts), 0}, number{"exam.difficulty", x.Difficulty, 0},
	)
}

func (t *Train) check() error {
	err := checkNumbers(
		number{"train.lr", t.LR, 0}, number{"train.warmup", float64(t.Warmup), 0}, number{"train.decay", float64(t.Decay), 0},
		number{"train.weight_decay", t.WeightDecay, 0},
		number{"train.clip", t.Clip, 0}, number{"train.bias_speed", t.BiasSpeed, 0}, number{"train.pass", float64(t.Pass), 16},
		number{"train.threads", float64(t.Threads), 0}, number{"train.save_every", float64(t.SaveEvery), 1},
	)
	if err != nil {
		return err
	}
	if err := runfile.OneOf("train.precision", t.Precision, train.Precisions); err != nil {
		return err
	}
	return runfile.OneOf("train.optimizer", t.Optimizer, train.Optimizers)
}

// text is c as a run file.
func (c *Config) text() (string, error) {
	text, err := toml.Marshal(c)
	return string(text), err
}

// identity is the part of the run file that decides the numbers.
func (c *Config) identity() (string, error) {
	same := *c
	same.Out, same.DType, same.Price, same.Exam = "", "", 0, Exam{}
	same.RL.Steps, same.Train.SaveEvery, same.Train.Threads = 0, 0, 0
	return same.text()
}
