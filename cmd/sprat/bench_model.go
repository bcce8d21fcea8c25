package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/device/cpu"
	"sprat/engine"
	"sprat/kernel"
	"sprat/model"
)

type benchModelCmd struct {
	modelFlags
	weightsFlag
	PromptTokens int           `help:"Tokens of the prompt that is timed; 0 times none." default:"512"`
	GenTokens    int           `help:"Tokens generated after it; 0 times none." default:"128"`
	Depth        []int         `help:"Tokens in the context before them." default:"0"`
	Batch        []int         `help:"Sequences that generate together." default:"1"`
	Pages        string        `help:"How the context is kept: bf16, f32 or fp8." default:"bf16" enum:"bf16,f32,fp8"`
	Time         time.Duration `help:"Most time for each line." default:"20s"`
	JSON         bool          `help:"Print one JSON object."`
}

// modelReport is what bench prints of a model. Ceilings are of all threads together, measured in the same run.
type modelReport struct {
	CPU              string     `json:"cpu"`
	Kernels          string     `json:"kernels"`
	Commit           string     `json:"commit,omitempty"`
	Go               string     `json:"go"`
	Threads          int        `json:"threads"`
	Model            string     `json:"model"`
	RandomWeights    bool       `json:"random_weights"`
	Weights          string     `json:"weights"`
	Parameters       int64      `json:"parameters"`
	Activated        int64      `json:"activated"`
	WeightBytes      int64      `json:"weight_bytes"`
	WeightBytesToken int64      `json:"weight_bytes_read_per_token"`
	CacheBytesToken  int64      `json:"cache_bytes_per_token"`
	OtherBytes       int64      `json:"resident_bytes_beyond_weights_and_cache"`
	LoadSeconds      float64    `json:"load_seconds"`
	ReadGBs          float64    `json:"read_gb_per_second"`
	PeakGFLOPS       float64    `json:"float32_peak_gflops"`
	Rows             []modelRow `json:"rows"`
}

// modelRow is one measurement: the median of steps. BandwidthShare is bytes of weights and context that a step must read over the
// read bandwidth; PeakShare is useful floating-point operations (explicit attention's, by cost) over the float32 peak. Weights in
// bf16 can reach 2 of it, in 8 and 4 bits 4.
type modelRow struct {
	What            string  `json:"what"` // prompt or decode
	Depth           int     `json:"depth"`
	Batch           int     `json:"batch"`
	Tokens          int     `json:"tokens"` // of the prompt
	TokensPerSecond float64 `json:"tokens_per_second"`
	StepSeconds     float64 `json:"step_seconds"`
	BandwidthShare  float64 `json:"bandwidth_share,omitempty"`
	PeakShare       float64 `json:"peak_share"`
	Allocations     float64 `json:"allocations_per_step"`
}

func (c *benchModelCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	b, done, err := c.load(e.ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, depth := range c.Depth {
		if c.PromptTokens > 0 {
			b.prompt(depth, c.PromptTokens)
		}
		for _, batch := range c.Batch {
			if c.GenTokens > 0 {
				b.decode(depth, batch, c.GenTokens)
			}
		}
	}
	if err := e.ctx.Err(); err != nil {
		return err
	}
	b.report.OtherBytes = residentBytes() - b.packed.Bytes() - b.touched
	b.ceilings()
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(b.report)
	}
	return b.report.print(e)
}

func (c *benchModelCmd) check() error {
	if c.PromptTokens < 0 || c.GenTokens < 0 || c.Time <= 0 || c.Time > time.Hour {
		return fmt.Errorf("--prompt-tokens %d, --gen-tokens %d, --time %v: want 0 or more, and up to an hour", c.PromptTokens, c.GenTokens, c.Time)
	}
	for _, d := range c.Depth {
		if d < 0 || d > 1<<20 {
			return fmt.Errorf("--depth %d: want 0 to %d", d, 1<<20)
		}
	}
	for _, n := range c.Batch {
		if n < 1 || n > 1024 {
			return fmt.Errorf("--batch %d: want 1 to 1024", n)
		}
	}
	return nil
}

// modelBench measures steps of a model.
type modelBench struct {
	ctx     context.Context
	cmd     *benchModelCmd
	cfg     *config.Config
	dev     *cpu.Device
	packed  *model.Packed
	pass    *model.Pass
	pages   device.Pages
	touched int64 // bytes of pages
	logits  []float32
	report  modelReport
}

// load packs the model: of a directory without weights, with random ones.
func (c *benchModelCmd) load(ctx context.Context) (*modelBench, func(), error) {
	weights, err := engine.ParseWeights(c.Weights)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--weights: %w", err)}
	}
	files, err := modelFS(c.Model)
	if err != nil {
		return nil, nil, err
	}
	b := &modelBench{ctx: ctx, cmd: c, dev: cpu.New(c.Threads)}
	start := time.Now()
	b.cfg, b.packed, b.report.RandomWeights, err = pack(files, b.dev, weights, c.longest())
	if err != nil {
		b.dev.Close()
		return nil, nil, fmt.Errorf("model %s: %w", c.Model, err)
	}
	n := cost.Count(b.cfg)
	r := &b.report
	r.LoadSeconds = time.Since(start).Seconds()
	r.CPU, r.Kernels, r.Commit, r.Go, r.Threads = cpuName(), kernel.Active(), commit(), runtime.Version(), b.dev.Threads()
	r.Model, r.Weights, r.Parameters, r.Activated = c.Model, string(weights), n.Total, n.Activated()
	r.WeightBytes, r.WeightBytesToken = b.packed.Bytes(), b.packed.TokenBytes()
	b.allocate()
	return b, b.dev.Close, nil
}

// longest is the most tokens of a sequence.
func (c *benchModelCmd) longest() int {
	return slices.Max(c.Depth) + max(c.PromptTokens, c.GenTokens) + 1
}

// pack is engine's packing without an engine round it.
func pack(files fs.FS, dev *cpu.Device, w engine.Weights, positions int) (*config.Config, *model.Packed, bool, error) {
	if _, err := fs.Stat(files, "config.json"); err == nil && !hasWeights(files) {
		cfg, err := config.LoadFS(files)
		if err != nil {
			return nil, nil, false, err
		}
		p, err := engine.Pack(cfg, dev, w, engine.Random(cfg, w), positions)
		return cfg, p, true, err
	}
	dir, err := engine.OpenDir(files)
	if err != nil {
		return nil, nil, false, err
	}
	defer dir.Close()
	p, err := engine.Pack(dir.Config, dev, w, dir.Weights, positions)
	return dir.Config, p, false, err
}

func hasWeights(files fs.FS) bool {
	names, err := fs.Glob(files, "*.safetensors")
	return err != nil || len(names) > 0
}

const benchPage, benchChunk = engine.PageSize, 512

func (b *modelBench) allocate() {
	debug.FreeOSMemory() // of loading
	batch := slices.Max(b.cmd.Batch)
	format := map[string]device.PageFormat{"bf16": device.PagesBF16, "f32": device.PagesF32, "fp8": device.PagesFP8}[b.cmd.Pages]
	each := (b.cmd.longest() + benchPage - 1) / benchPage
	shape := b.packed.PagesShape(each*batch, benchPage, format)
	b.pages = b.dev.NewPages(shape)
	b.report.CacheBytesToken = b.pages.Bytes() / int64(each*batch*benchPage)
	b.pass = b.packed.NewPass(max(min(benchChunk, max(1, b.cmd.PromptTokens)), batch), batch)
	b.logits = make([]float32, batch*b.cfg.VocabSize)
	b.fill(shape)
}

// fill writes latents to all pages that will be read: what is in them doesn't matter to the time, only that it's numbers.
func (b *modelBench) fill(s device.PagesShape) {
	rows := s.Pages * s.Rows
	x := make([]float32, s.Rows*(s.C+s.R))
	for i := range x {
		x[i] = float32(i%17)/17 - 0.5
	}
	table := make([]int32, s.Pages)
	for i := range table {
		table[i] = int32(i)
	}
	m := b.dev.Alloc(s.Rows, s.C+s.R, 0)
	b.dev.Upload(m, x)
	kR := m.ColSlice(s.C, s.C+s.R)
	for layer := range s.Layers {
		for at := 0; at < rows; at += s.Rows {
			b.dev.StoreLatents(b.pages, layer, m.ColSlice(0, s.C), kR, []device.Context{{Rows: s.Rows, Past: at, Table: table}})
		}
	}
	b.touched = b.pages.Bytes()
}

// table is the pages of sequence i of a batch.
func (b *modelBench) table(i int) []int32 {
	each := (b.cmd.longest() + benchPage - 1) / benchPage
	t := make([]int32, each)
	for j := range t {
		t[j] = int32(i*each + j)
	}
	return t
}

// prompt times the reading of n tokens after depth others, in chunks as an engine has them.
func (b *modelBench) prompt(depth, n int) {
	table := b.table(0)
	steps := []model.Step{}
	for at := 0; at < n; at += benchChunk {
		rows := min(benchChunk, n-at)
		s := model.Step{Contexts: []device.Context{{Rows: rows, Past: depth + at, Table: table}}}
		for i := range rows {
			s.IDs, s.Pos = append(s.IDs, int32((at+i)*7919%b.cfg.VocabSize)), append(s.Pos, int32(depth+at+i))
		}
		if n < b.packed.AbsorbedRows() {
			s.Absorbed = 1
		}
		if at+rows == n {
			s.Logits = []int32{int32(rows - 1)}
		}
		steps = append(steps, s)
	}
	row := modelRow{What: "prompt", Depth: depth, Batch: 1, Tokens: n}
	b.time(&row, 1<<20, func(int) {
		for _, s := range steps {
			b.packed.Run(b.pass, b.pages, s, b.logits)
		}
	})
	row.TokensPerSecond = float64(n) / row.StepSeconds
	row.PeakShare = row.TokensPerSecond * cost.ForwardFLOPs(b.cfg, 2*depth+n) // a mean context of depth + n/2
	b.report.Rows = append(b.report.Rows, row)
}

// decode times n steps of a token of each sequence.
func (b *modelBench) decode(depth, batch, n int) {
	s := model.Step{Absorbed: batch}
	for i := range batch {
		s.IDs, s.Pos, s.Logits = append(s.IDs, int32((i*7919+1)%b.cfg.VocabSize)), append(s.Pos, int32(depth)), append(s.Logits, int32(i))
		s.Contexts = append(s.Contexts, device.Context{First: i, Rows: 1, Past: depth, Table: b.table(i)})
	}
	row := modelRow{What: "decode", Depth: depth, Batch: batch}
	b.time(&row, n, func(step int) {
		for i := range batch {
			s.Pos[i], s.Contexts[i].Past = int32(depth+step), depth+step
			s.IDs[i] = int32((int(s.IDs[i]) + 7919) % b.cfg.VocabSize) // other experts each time
		}
		b.packed.Run(b.pass, b.pages, s, b.logits)
	})
	row.TokensPerSecond = float64(batch) / row.StepSeconds
	if batch == 1 {
		row.BandwidthShare = row.TokensPerSecond * float64(b.report.WeightBytesToken+b.report.CacheBytesToken*int64(depth))
	}
	row.PeakShare = row.TokensPerSecond * cost.ForwardFLOPs(b.cfg, 2*depth+1)
	b.report.Rows = append(b.report.Rows, row)
}

// time runs a step up to most times, but not longer than the time given, after one that brings everything to its size.
func (b *modelBench) time(row *modelRow, most int, step func(i int)) {
	if b.ctx.Err() != nil {
		return
	}
	step(0)
	var before, after runtime.MemStats
	took := make([]float64, 0, 1<<12)
	runtime.ReadMemStats(&before)
	for start := time.Now(); b.ctx.Err() == nil && len(took) < min(most, cap(took)) && (len(took) < 3 || time.Since(start) < b.cmd.Time); {
		t := time.Now()
		step(len(took) % max(1, b.cmd.GenTokens))
		took = append(took, time.Since(t).Seconds())
	}
	runtime.ReadMemStats(&after)
	if len(took) == 0 {
		return
	}
	row.Allocations = float64(after.Mallocs-before.Mallocs) / float64(len(took))
	slices.Sort(took)
	row.StepSeconds = took[len(took)/2]
}

// ceilings measures the machine and turns speeds into shares.
func (b *modelBench) ceilings() {
	r := &b.report
	r.ReadGBs = b.dev.ReadBandwidth(peakTime) / giga
	r.PeakGFLOPS = kernel.FMAPeakOf(r.Threads, peakTime) / giga
	for i := range r.Rows {
		r.Rows[i].BandwidthShare /= r.ReadGBs * giga
		r.Rows[i].PeakShare /= r.PeakGFLOPS * giga
	}
}

// residentBytes is the memory that the process has now, where the system says.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func (r *modelReport) print(e *env) error {
	w := bufio.NewWriter(e.stdout)
	note := ""
	if r.RandomWeights {
		note = ", random weights"
	}
	kept := r.Weights
	if kept == "" {
		kept = "as stored"
	}
	fmt.Fprintf(w, "%s, %d threads, kernels %s, %s%s\n", r.CPU, r.Threads, r.Kernels, r.Go, commitNote(r.Commit))
	fmt.Fprintf(w, "%s: %d parameters, %d activated%s; weights %s, %.1f MB, of which a token reads %.1f MB; context %d bytes a token\n",
		r.Model, r.Parameters, r.Activated, note, kept, float64(r.WeightBytes)/1e6, float64(r.WeightBytesToken)/1e6, r.CacheBytesToken)
	fmt.Fprintf(w, "loaded in %.2f s; %.1f MB resident beyond weights and context; reads %.1f GB/s, float32 peak %.0f GFLOP/s\n\n",
		r.LoadSeconds, float64(r.OtherBytes)/1e6, r.ReadGBs, r.PeakGFLOPS)
	fmt.Fprintf(w, "| what   |  depth | batch |   tokens/s | ms a step | of bandwidth | of float32 peak | allocations |\n")
	fmt.Fprintf(w, "|--------|--------|-------|------------|-----------|--------------|-----------------|-------------|\n")
	for _, x := range r.Rows {
		what, share := x.What, "-"
		if x.BandwidthShare > 0 {
			share = fmt.Sprintf("%.2f", x.BandwidthShare)
		}
		if x.Tokens > 0 {
			what = fmt.Sprintf("pp%d", x.Tokens)
		}
		fmt.Fprintf(w, "| %-6s | %6d | %5d | %10.1f | %9.3f | %12s | %15.2f | %11.1f |\n",
			what, x.Depth, x.Batch, x.TokensPerSecond, 1e3*x.StepSeconds, share, x.PeakShare, x.Allocations)
	}
	return w.Flush()
}
