// Package report keeps the record of training runs and shows it: what a run did step by step, what it cost, how it compares.
//
// A run has a directory. The trainer opens a [Writer] there, which appends to [MetricsFile], one JSON object a line, and to an
// event file that TensorBoard opens. [Read] turns the lines back into a [Run], however the run was stopped, resumed or rolled back;
// [Run.Ledger] is its bill. [WritePage] makes the HTML page and the ledger file from the directory, during the run or years
// after; [Compare] sets runs side by side.
//
// The lines are a contract: other programs may read them. Each has a "kind", which names the type here: run ([Start]), step,
// load, valid, rl, exam, transcript, resume, rollback, end. JSON has no word for NaN and the infinities; they are written as null and read as NaN.
//
// Where a run goes back, to a checkpoint that it resumes from or out of a loss spike, the counters of tokens and seconds go
// back too. The curves then hold each step once, as it was done last. The ledger counts everything that was computed.
package report

import (
	"bytes"
	"encoding/json"
	"math"
	"time"
)

// Files in a run's directory.
const (
	MetricsFile  = "metrics.jsonl"
	SettingsFile = "run.toml"
	LedgerFile   = "ledger.json"
	PageFile     = "report.html"
)

// Start opens a session of a run: the first, and each that resumes it.
type Start struct {
	Name               string    `json:"name"`
	Started            time.Time `json:"started"`
	Seed               uint64    `json:"seed"`
	Precision          string    `json:"precision"` // of the products, as in "f32"
	Kernels            string    `json:"kernels"`   // the path taken, as in "avx2"
	Machine            string    `json:"machine"`
	Cores              int       `json:"cores"`
	Params             int64     `json:"params"`
	Activated          int64     `json:"activated"` // parameters a token meets
	FLOPsPerToken      float64   `json:"flops_per_token"`
	PeakFLOPs          float64   `json:"peak_flops"`   // a second, measured with all Cores; 0 is not known
	TokensTotal        int64     `json:"tokens_total"` // that the run is to see
	Sequence           int       `json:"sequence"`
	DollarsPerCoreHour float64   `json:"dollars_per_core_hour"`
}

// Step is what a training step did. Tokens and Seconds count from the run's start, evaluation and saving included; on
// resuming they go on from what the checkpoint holds.
type Step struct {
	Step            int     `json:"step"` // from 1
	Tokens          int64   `json:"tokens"`
	Seconds         float64 `json:"seconds"`
	Loss            float64 `json:"loss"`      // nats a token
	MTP             Floats  `json:"mtp"`       // the same for each depth of multi-token prediction
	Balance         float64 `json:"balance"`   // the balance loss, factor included
	LR              float64 `json:"lr"`        // learning rate
	GradNorm        float64 `json:"grad_norm"` // before clipping
	MaxVio          float64 `json:"max_vio"`   // (largest load − mean) / mean, the worst layer's
	Batch           int     `json:"batch"`     // rows
	TokensPerSecond float64 `json:"tokens_per_second"`
	PeakShare       float64 `json:"peak_share"` // FLOP/s over PeakFLOPs
	Skipped         bool    `json:"skipped"`    // no update was made
}

// Load is how many tokens each routed expert of each layer got, over the mean: 1 is even.
type Load struct {
	Step   int      `json:"step"`
	Layers []Floats `json:"layers"`
}

// Valid is the loss on held-out text of one source.
type Valid struct {
	Step        int     `json:"step"`
	Tokens      int64   `json:"tokens"`
	Seconds     float64 `json:"seconds"`
	Source      string  `json:"source"`
	Nats        float64 `json:"nats"` // per token
	BitsPerByte float64 `json:"bits_per_byte"`
}

// Resume says that the run goes on from a checkpoint, with the counters as they stood there.
type Resume struct {
	Step    int     `json:"step"` // the last one that counts
	Tokens  int64   `json:"tokens"`
	Seconds float64 `json:"seconds"`
}

// Rollback says that the run went back from Step to what it was after ToStep. Tokens and Seconds are the counters that it goes on
// with: those of ToStep where data and clock go back too, those of Step where they run on.
type Rollback struct {
	Step    int     `json:"step"`
	ToStep  int     `json:"to_step"`
	Tokens  int64   `json:"tokens"`
	Seconds float64 `json:"seconds"`
	Why     string  `json:"why"`
}

// Why a session ended.
const (
	Done        = "done"
	Interrupted = "interrupted"
	Failed      = "failed"
)

// End closes a session. A session that was killed has none.
type End struct {
	Step    int     `json:"step"`
	Tokens  int64   `json:"tokens"`
	Seconds float64 `json:"seconds"`
	Why     string  `json:"why"`
}

// Floats are numbers of which any may be NaN, which JSON writes as null.
type Floats []float64

// UnmarshalJSON reads null as NaN.
func (f *Floats) UnmarshalJSON(text []byte) error {
	if string(bytes.TrimSpace(text)) == "null" {
		*f = nil
		return nil
	}
	var list []*float64
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*f = make(Floats, len(list))
	for i, v := range list {
		if (*f)[i] = math.NaN(); v != nil {
			(*f)[i] = *v
		}
	}
	return nil
}
