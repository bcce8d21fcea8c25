package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"sprat/kernel"
)

type benchCmd struct {
	Model   benchModelCmd   `cmd:"" default:"withargs" help:"A model's prompt and generation speed, by depth and batch."`
	Kernels benchKernelsCmd `cmd:"" help:"Matrix products against the machine's peak and bandwidth."`
	Train   benchTrainCmd   `cmd:"" help:"A training step of a config, with random weights and tokens."`
}

type benchKernelsCmd struct {
	JSON    bool          `help:"Print one JSON object."`
	Time    time.Duration `help:"How long to run each measurement." default:"1s"`
	Threads int           `help:"Threads for the parallel rows; 0 takes every core." default:"0"`
}

// benchRow is one measurement. Share is of the ceiling named Of, measured in the same run.
type benchRow struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Of    string  `json:"of,omitempty"`
	Share float64 `json:"share,omitempty"`
}

// benchReport is what bench kernels prints.
type benchReport struct {
	CPU    string     `json:"cpu"`
	Path   string     `json:"path"` // of the kernels
	Commit string     `json:"commit,omitempty"`
	Go     string     `json:"go"`
	Cores  int        `json:"cores"`
	Rows   []benchRow `json:"rows"`
}

func (c *benchKernelsCmd) Run(e *env) error {
	if c.Time < time.Millisecond || c.Time > time.Minute || c.Threads < 0 {
		return usageError{fmt.Errorf("--time %v, --threads %d: want 1ms to 1m, and 0 threads or more", c.Time, c.Threads)}
	}
	r := benchReport{CPU: cpuName(), Path: kernel.Active(), Commit: commit(), Go: runtime.Version(), Cores: runtime.NumCPU()}
	b := &kernelBench{d: c.Time, report: &r}
	b.ceilings()
	b.square(c.Threads)
	b.skinny()
	b.weights(c.Threads)
	b.attention(c.Threads)
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(r)
	}
	w := bufio.NewWriter(e.stdout)
	fmt.Fprintf(w, "%s, %d cores, kernels %s, %s%s\n\n", r.CPU, r.Cores, r.Path, r.Go, commitNote(r.Commit))
	fmt.Fprintf(w, "| %-36s | %9s | %-8s | %-34s |\n|%s|%s|%s|%s|\n", "what", "value", "unit", "share of", dashes(38), dashes(11), dashes(10), dashes(36))
	for _, row := range r.Rows {
		share := ""
		if row.Of != "" {
			share = fmt.Sprintf("%.2f of %s", row.Share, row.Of)
		}
		fmt.Fprintf(w, "| %-36s | %9.1f | %-8s | %-34s |\n", row.Name, row.Value, row.Unit, share)
	}
	return w.Flush()
}

// kernelBench measures one thing after another.
type kernelBench struct {
	d      time.Duration
	report *benchReport
	peak   float64 // FLOP/s of one core
}

const (
	giga       = 1e9
	skinnySize = 2048
)

func (b *kernelBench) add(name string, value float64, unit, of string, ceiling float64) {
	row := benchRow{Name: name, Value: value / giga, Unit: unit, Of: of}
	if of != "" {
		row.Share = value / ceiling
	}
	b.report.Rows = append(b.report.Rows, row)
}

func (b *kernelBench) ceilings() {
	b.peak = kernel.FMAPeak(b.d)
	b.add("float32 FMA peak, one core", b.peak, "GFLOP/s", "", 0)
}

// turns is how often two things that are compared are measured one after the other: a machine that is shared, its last cache
// above all, gives more at one time than at another.
const turns = 8

// best runs each of fs in turns, and returns the best result of each.
func (b *kernelBench) best(fs ...func(d time.Duration) float64) []float64 {
	top := make([]float64, len(fs))
	for range turns {
		for i, f := range fs {
			top[i] = max(top[i], f(b.d/turns))
		}
	}
	return top
}

// square measures n x n x n products.
func (b *kernelBench) square(threads int) {
	one, all := kernel.NewPool(1), kernel.NewPool(threads)
	defer one.Close()
	defer all.Close()
	for _, n := range []int{512, 1024} {
		for _, o := range []struct {
			name string
			op   kernel.Op
		}{{"NT", kernel.NT}, {"NN", kernel.NN}, {"TN", kernel.TN}} {
			pr := product(n, n, n)
			r := b.best(rate(one, o.op, kernel.F32, pr), rate(all, o.op, kernel.F32, pr), rate(one, o.op, kernel.BF16, pr))
			b.add(fmt.Sprintf("sgemm %d %s, one core", n, o.name), r[0], "GFLOP/s", "peak", b.peak)
			b.add(fmt.Sprintf("sgemm %d %s, %d threads", n, o.name, all.Workers()), r[1], "GFLOP/s", "one core", r[0])
			b.add(fmt.Sprintf("bf16 gemm %d %s, one core", n, o.name), r[2], "GFLOP/s", "float32", r[0])
		}
	}
}

// skinny measures few rows against a square weight, as decoding and experts have them: the weight as it is, and packed once
// beforehand, as an engine keeps it. One row is reported by the bytes of its weights, more by their operations.
func (b *kernelBench) skinny() {
	one := kernel.NewPool(1)
	defer one.Close()
	for _, m := range []int{1, 2, 4, 8, 16} {
		plain := product(m, skinnySize, skinnySize)
		packed := plain
		packed.Packed = kernel.Pack(kernel.NT, kernel.F32, skinnySize, skinnySize, plain.B, skinnySize)
		name := fmt.Sprintf("float32 %d x %d x %d NT", m, skinnySize, skinnySize)
		read := func(d time.Duration) float64 { return kernel.ReadBandwidth(plain.B, d) }
		r := b.best(rate(one, kernel.NT, kernel.F32, plain), rate(one, kernel.NT, kernel.F32, packed), read)
		if m > 1 {
			b.add(name, r[0], "GFLOP/s", "peak", b.peak)
			b.add(name+", packed", r[1], "GFLOP/s", "peak", b.peak)
			continue
		}
		const bytesPerFLOP = 4.0 / 2 // a weight of 4 bytes is one multiply-add
		b.add("read bandwidth, 16 MiB, one core", r[2], "GB/s", "", 0)
		b.add(name, r[0]*bytesPerFLOP, "GB/s", "read bandwidth", r[2])
		b.add(name+", packed", r[1]*bytesPerFLOP, "GB/s", "read bandwidth", r[2])
	}
}

// rate measures a product: the best FLOP/s of several tries.
func rate(p *kernel.Pool, op kernel.Op, prec kernel.Precision, pr kernel.Product) func(d time.Duration) float64 {
	return func(d time.Duration) float64 {
		p.Gemm(op, prec, pr)
		best := time.Duration(1 << 62)
		for start := time.Now(); time.Since(start) < d; {
			t := time.Now()
			p.Gemm(op, prec, pr)
			best = min(best, time.Since(t))
		}
		return 2 * float64(pr.M) * float64(pr.N) * float64(pr.K) / best.Seconds()
	}
}

// product is random matrices; square ones fit every Op.
func product(m, n, k int) kernel.Product {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(size int) []float32 {
		x := make([]float32, size)
		for i := range x {
			x[i] = rng.Float32() - 0.5
		}
		return x
	}
	return kernel.Product{M: m, N: n, K: k, A: random(m * k), LDA: k, B: random(n * k), LDB: k, C: make([]float32, m*n), LDC: n}
}

func dashes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '-'
	}
	return string(b)
}

// commit is the version that the program was built from, a + after it where files had changed since; empty where the build
// did not record one, as with go run or -buildvcs=false.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	revision := set["vcs.revision"]
	revision = revision[:min(12, len(revision))]
	if set["vcs.modified"] == "true" {
		revision += "+"
	}
	return revision
}

// commitNote is commit for the end of a line.
func commitNote(commit string) string {
	if commit == "" {
		return ""
	}
	return ", commit " + commit
}
