package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/device/cpu"
	"sprat/kernel"
	"sprat/model"
	"sprat/optim"
	"sprat/train"
)

type benchTrainCmd struct {
	Config    string        `help:"The config.json of the model to train, with random weights on random tokens." required:"" type:"path" placeholder:"C"`
	Precision string        `help:"Of the products: fp32, bf16 or fp8." default:"bf16" enum:"fp32,bf16,fp8"`
	Batch     int           `help:"Sequences in a step." default:"8"`
	Sequence  int           `help:"Tokens in a sequence." default:"512"`
	Threads   int           `help:"Threads to compute on; 0 takes every core." default:"0"`
	Time      time.Duration `help:"How long to run steps." default:"10s"`
	JSON      bool          `help:"Print one JSON object."`
}

// trainReport is what bench train prints. A step is forward, backward, clipping, AdamW and the update of the gates' biases; its
// floating-point operations are those of cost, MTP included. Speeds are of the median step. Peak is the float32 multiply-adds of all
// threads' cores, measured at once in the same run.
type trainReport struct {
	CPU             string     `json:"cpu"`
	Kernels         string     `json:"kernels"`
	Commit          string     `json:"commit,omitempty"`
	Precision       string     `json:"precision"`
	Threads         int        `json:"threads"`
	Parameters      int64      `json:"parameters"`
	Activated       int64      `json:"activated"`
	Batch           int        `json:"batch"`
	Sequence        int        `json:"sequence"`
	Steps           int        `json:"steps"`
	StepSeconds     float64    `json:"step_seconds"`
	BestSeconds     float64    `json:"best_step_seconds"`
	TokensPerSecond float64    `json:"tokens_per_second"`
	GFLOPS          float64    `json:"gflops"`
	PeakGFLOPS      float64    `json:"peak_gflops"`
	PeakShare       float64    `json:"peak_share"`
	Allocations     float64    `json:"allocations_per_step"`
	StateBytes      int64      `json:"state_bytes"`     // weights, gradients, moments
	WorkspaceBytes  int64      `json:"workspace_bytes"` // all else: activations and scratch
	Operations      []timedRow `json:"operations"`
}

func (c *benchTrainCmd) Run(e *env) error {
	if c.Batch < 1 || c.Sequence < 2 || c.Batch > maxBenchTokens/c.Sequence || c.Threads < 0 || c.Time <= 0 || c.Time > time.Hour {
		return usageError{fmt.Errorf("--batch %d, --sequence %d, --threads %d, --time %v: want 1 or more sequences of 2 or more tokens, at most %d in all; 0 threads or more; up to an hour",
			c.Batch, c.Sequence, c.Threads, c.Time, maxBenchTokens)}
	}
	text, err := os.ReadFile(c.Config)
	if err != nil {
		return err
	}
	cfg, err := config.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Config, err)
	}
	r := c.measure(cfg)
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	r.print(e)
	return nil
}

// maxBenchTokens keeps a step's activations to what a machine may have.
const maxBenchTokens = 1 << 20

// measure runs steps for the time asked for, after two that bring everything to its size.
func (c *benchTrainCmd) measure(cfg *config.Config) *trainReport {
	runtime.GC()
	var before, heap, warm, after runtime.MemStats
	runtime.ReadMemStats(&before)

	inner := cpu.New(c.Threads)
	defer inner.Close()
	dev := &timedDevice{inner, map[string]time.Duration{}}
	step := c.newStep(cfg, dev)
	step()
	step()
	runtime.GC()
	runtime.ReadMemStats(&heap)
	threads := inner.Threads()
	peak := kernel.FMAPeakOf(threads, peakTime)
	took := make([]float64, 0, 1<<12)
	dev.reset()
	runtime.ReadMemStats(&warm)
	for start := time.Now(); len(took) < 3 || time.Since(start) < c.Time; {
		t := time.Now()
		step()
		took = append(took, time.Since(t).Seconds())
	}
	runtime.ReadMemStats(&after)
	peak = max(peak, kernel.FMAPeakOf(threads, peakTime)) // a machine that is shared gives more at one time than at another
	slices.Sort(took)

	n := cost.Count(cfg)
	r := &trainReport{
		CPU: cpuName(), Kernels: kernel.Active(), Commit: commit(), Precision: c.Precision, Threads: threads,
		Parameters: n.Total + n.MTP, Activated: n.Activated(), Batch: c.Batch, Sequence: c.Sequence,
		Steps: len(took), StepSeconds: took[len(took)/2], BestSeconds: took[0], PeakGFLOPS: peak / giga,
		Allocations: float64(after.Mallocs-warm.Mallocs) / float64(len(took)),
	}
	tokens := float64(c.Batch * c.Sequence)
	r.TokensPerSecond = tokens / r.StepSeconds
	flops := cost.TrainingFLOPs(cfg, c.Sequence) + 3*cost.MTPForwardFLOPs(cfg, c.Sequence)
	r.GFLOPS = r.TokensPerSecond * flops / giga
	r.PeakShare = r.GFLOPS / r.PeakGFLOPS
	r.StateBytes = 4 * 4 * r.Parameters
	r.WorkspaceBytes = int64(heap.HeapAlloc) - int64(before.HeapAlloc) - r.StateBytes
	r.Operations = dev.rows(len(took))
	return r
}

// peakTime is how long the peak is measured, before and after the steps.
const peakTime = 500 * time.Millisecond

// newStep makes a model, and a function that trains it for a step on the same random tokens each time.
func (c *benchTrainCmd) newStep(cfg *config.Config, dev device.Device) func() {
	const seed, lr, clip, speed = 1, 1e-4, 1, 1e-3
	m := model.New(cfg, dev, model.Options{Train: true, Precision: train.Precisions[c.Precision], Positions: c.Sequence})
	m.Init(seed, model.InitStd(cfg.HiddenSize))
	adamw := optim.NewAdamW(dev, m.Params(), 0.1)
	state := m.NewState(c.Batch*c.Sequence, true)
	rng := rand.New(rand.NewPCG(seed, 0))
	var b model.Batch
	for i := range c.Batch * c.Sequence {
		if i%c.Sequence == 0 {
			b.Starts = append(b.Starts, int32(i))
		}
		b.IDs = append(b.IDs, rng.Int32N(int32(cfg.VocabSize)))
		b.Targets = append(b.Targets, rng.Int32N(int32(cfg.VocabSize)))
	}
	b.Starts = append(b.Starts, int32(len(b.IDs)))
	return func() {
		m.ZeroGradients()
		m.Gradients(state, b, model.Objective{MTPWeight: 0.3, Balance: 1e-4})
		adamw.Step(lr, clip)
		m.UpdateBiases(speed)
	}
}

func (r *trainReport) print(e *env) {
	w := e.stdout
	fmt.Fprintf(w, "%s, %d threads, kernels %s%s\n", r.CPU, r.Threads, r.Kernels, commitNote(r.Commit))
	fmt.Fprintf(w, "%d parameters, %d activated; %s; a step is %d x %d tokens, %d steps\n\n", r.Parameters, r.Activated, r.Precision, r.Batch, r.Sequence, r.Steps)
	fmt.Fprintf(w, "tokens/s          %10.0f\n", r.TokensPerSecond)
	fmt.Fprintf(w, "GFLOP/s           %10.1f  %.3f of the float32 peak, %.1f\n", r.GFLOPS, r.PeakShare, r.PeakGFLOPS)
	fmt.Fprintf(w, "a step            %10.3f  s, the best %.3f\n", r.StepSeconds, r.BestSeconds)
	fmt.Fprintf(w, "allocations       %10.1f  a step\n", r.Allocations)
	fmt.Fprintf(w, "state             %10.1f  MiB: weights, gradients, two moments\n", float64(r.StateBytes)/(1<<20))
	fmt.Fprintf(w, "workspace         %10.1f  MiB: activations and scratch\n\n", float64(r.WorkspaceBytes)/(1<<20))
	for _, o := range r.Operations {
		fmt.Fprintf(w, "%-20s %8.4f s  %5.1f %%\n", o.Name, o.Seconds, 100*o.Share)
	}
}
