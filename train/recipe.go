package train

import (
	"fmt"
	"iter"

	"sprat/device"
	"sprat/optim"
	"sprat/runfile"
	"sprat/tensor"
)

// TrainConfig is the recipe.
type TrainConfig struct {
	Steps     int    `toml:"steps"`     // of full batches: the run sees steps x batch x sequence tokens
	Batch     int    `toml:"batch"`     // sequences a step, once the schedule has it full
	Micro     int    `toml:"micro"`     // sequences a pass: gradients of passes are added up to a step's; 0 is the batch at once
	Sequence  int    `toml:"sequence"`  // tokens a sequence
	Precision string `toml:"precision"` // of the products: "fp32", "bf16" or "fp8"
	Recompute bool   `toml:"recompute"` // less memory, a third more work
	Optimizer string `toml:"optimizer"` // "adamw" or "muon"

	WeightDecay float64 `toml:"weight_decay"`
	Clip        float64 `toml:"clip"`     // largest gradient norm; 0 does not clip
	ClipQK      float64 `toml:"clip_qk"`  // τ of QK-clip, the largest attention logit; 0 does not clip
	Balance     float64 `toml:"balance"`  // factor of the sequence-wise balance loss
	Average     float64 `toml:"average"`  // memory of the weights' average, which is what is written then; 0 keeps none
	InitStd     float64 `toml:"init_std"` // of the weights; 0 takes V3's, scaled to the width
	Threads     int     `toml:"threads"`  // 0: all cores

	SaveEvery   int `toml:"save_every"`   // steps between checkpoints
	Evaluations int `toml:"evaluations"`  // of the validation text, over the run; the last at its end
	ValidTokens int `toml:"valid_tokens"` // of each source, at most, in one evaluation
}

func defaultTrain() TrainConfig {
	return TrainConfig{
		Steps: 1000, Batch: 8, Sequence: 256, Precision: "bf16", Optimizer: "adamw",
		WeightDecay: 0.1, Clip: 1, Balance: 1e-4,
		SaveEvery: 100, Evaluations: 10, ValidTokens: 1 << 17,
	}
}

// Precisions are the words for them in a run file.
var Precisions = map[string]device.Precision{"fp32": device.F32, "bf16": device.BF16, "fp8": device.FP8}

// Optimizers are the words for them in a run file.
var Optimizers = map[string]newOptimizer{
	"adamw": optim.NewAdamW,
	"muon": func(dev device.Device, params iter.Seq[*tensor.Param], weightDecay float64) *optim.Optimizer {
		return optim.NewMuon(dev, params, weightDecay, device.BF16)
	},
}

type newOptimizer func(dev device.Device, params iter.Seq[*tensor.Param], weightDecay float64) *optim.Optimizer

// maxStepTokens bounds a step, and with it the memory for activations that a run file can ask for.
const maxStepTokens = 1 << 24

func (t *TrainConfig) check() error {
	for _, v := range []struct {
		key        string
		value, low float64
	}{
		{"train.steps", float64(t.Steps), 1},
		{"train.batch", float64(t.Batch), 1},
		{"train.micro", float64(t.Micro), 0},
		{"train.sequence", float64(t.Sequence), 2},
		{"train.weight_decay", t.WeightDecay, 0},
		{"train.clip", t.Clip, 0},
		{"train.clip_qk", t.ClipQK, 0},
		{"train.balance", t.Balance, 0},
		{"train.average", t.Average, 0},
		{"train.init_std", t.InitStd, 0},
		{"train.threads", float64(t.Threads), 0},
		{"train.save_every", float64(t.SaveEvery), 1},
		{"train.evaluations", float64(t.Evaluations), 1},
		{"train.valid_tokens", float64(t.ValidTokens), 1},
	} {
		if err := runfile.AtLeast(v.key, v.value, v.low); err != nil {
			return err
		}
	}
	if t.Batch > maxStepTokens/t.Sequence {
		return fmt.Errorf("train.batch x train.sequence is over %d tokens a step: make one smaller", maxStepTokens)
	}
	if t.Micro > 0 && t.Batch%t.Micro != 0 {
		return fmt.Errorf("train.micro is %d: want a divisor of train.batch, which is %d", t.Micro, t.Batch)
	}
	if t.Average >= 1 {
		return fmt.Errorf("train.average is %g: want under 1, as in 0.999", t.Average)
	}
	if err := runfile.OneOf("train.precision", t.Precision, Precisions); err != nil {
		return err
	}
	return runfile.OneOf("train.optimizer", t.Optimizer, Optimizers)
}

// micro is the sequences of a pass.
func (t *TrainConfig) micro() int {
	if t.Micro == 0 {
		return t.Batch
	}
	return t.Micro
}

// ScheduleConfig is optim.Schedule as a run file has it: learning rates but the first are shares of it. Its defaults are V3's.
type ScheduleConfig struct {
	LR        float64 `toml:"lr"`
	Floor     float64 `toml:"floor"`
	Last      float64 `toml:"last"`
	Warmup    float64 `toml:"warmup"`
	DecayFrom float64 `toml:"decay_from"`
	DecayTo   float64 `toml:"decay_to"`
	LastFrom  float64 `toml:"last_from"`
	BatchFrom float64 `toml:"batch_from"`
	BatchRamp float64 `toml:"batch_ramp"`
	BiasSpeed float64 `toml:"bias_speed"`
	BiasUntil float64 `toml:"bias_until"`
	MTPWeight float64 `toml:"mtp_weight"`
	MTPLate   float64 `toml:"mtp_late"`
	MTPFrom   float64 `toml:"mtp_from"`
}

func defaultSchedule() ScheduleConfig {
	s := optim.V3(1) // shares of a peak of 1
	s.LR = 1e-3
	return ScheduleConfig(s)
}

// schedule is c with rates in place of shares.
func (c ScheduleConfig) schedule() optim.Schedule {
	s := optim.Schedule(c)
	s.Floor *= s.LR
	s.Last *= s.LR
	return s
}
