package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sprat/report/tfevents"
)

// Writer appends to the record of a run. Each line goes out whole in one write as it comes, so a killed run loses none that a method
// returned from; a power cut may lose those since the last Sync. It belongs to one goroutine.
type Writer struct {
	dir     string
	metrics *os.File
	events  *tfevents.File
	line    line
	values  []tfevents.Scalar
	mtpTags []string
}

func scalar(tag string, value float64) tfevents.Scalar {
	return tfevents.Scalar{Tag: tag, Value: value}
}

// Open opens the record in dir, making what is not there. A last line that a killed run left torn is cut off.
func Open(dir string) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the run's record: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, MetricsFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the run's record: %w", err)
	}
	if err := cutTornLine(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("opening the run's record %s: %w", f.Name(), err)
	}
	e, err := tfevents.Create(dir)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("opening TensorBoard's file: %w", err)
	}
	return &Writer{dir: dir, metrics: f, events: e}, nil
}

// cutTornLine truncates f after its last newline.
func cutTornLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		n := min(end, int64(len(buf)))
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			if keep := end - n + int64(i) + 1; keep < size {
				return f.Truncate(keep)
			}
			return nil
		}
		end -= n
	}
	return f.Truncate(0)
}

// Sync waits until the lines are on the disk: call it where a checkpoint is saved.
func (w *Writer) Sync() error { return errors.Join(w.metrics.Sync(), w.events.Sync()) }

// Close closes the files.
func (w *Writer) Close() error { return errors.Join(w.metrics.Close(), w.events.Close()) }

// Start writes a session's first line.
func (w *Writer) Start(s Start) error {
	l := w.line.open("run")
	l.text("name", s.Name)
	l.text("started", s.Started.Format(time.RFC3339))
	l.unsigned("seed", s.Seed)
	l.text("precision", s.Precision)
	l.text("kernels", s.Kernels)
	l.text("machine", s.Machine)
	l.integer("cores", int64(s.Cores))
	l.integer("params", s.Params)
	l.integer("activated", s.Activated)
	l.number("flops_per_token", s.FLOPsPerToken)
	l.number("peak_flops", s.PeakFLOPs)
	l.integer("tokens_total", s.TokensTotal)
	l.integer("sequence", int64(s.Sequence))
	l.number("dollars_per_core_hour", s.DollarsPerCoreHour)
	return w.write()
}

// Step writes what a step did. It allocates nothing once warm.
func (w *Writer) Step(s Step) error {
	l := w.line.open("step")
	l.progress(s.Step, s.Tokens, s.Seconds)
	l.number("loss", s.Loss)
	l.key("mtp")
	l.numbers(s.MTP, -1)
	l.number("balance", s.Balance)
	l.number("lr", s.LR)
	l.number("grad_norm", s.GradNorm)
	l.number("max_vio", s.MaxVio)
	l.integer("batch", int64(s.Batch))
	l.number("tokens_per_second", s.TokensPerSecond)
	l.number("peak_share", s.PeakShare)
	l.boolean("skipped", s.Skipped)
	w.values = append(w.values[:0], scalar("loss", s.Loss), scalar("lr", s.LR), scalar("grad_norm", s.GradNorm),
		scalar("max_vio", s.MaxVio), scalar("tokens_per_second", s.TokensPerSecond), scalar("peak_share", s.PeakShare))
	for i, v := range s.MTP {
		if i == len(w.mtpTags) {
			w.mtpTags = append(w.mtpTags, fmt.Sprintf("mtp/%d", i+1))
		}
		w.values = append(w.values, scalar(w.mtpTags[i], v))
	}
	return errors.Join(w.write(), w.events.Scalars(s.Step, w.values...))
}

// Load writes the experts' load, to four digits.
func (w *Writer) Load(v Load) error {
	l := w.line.open("load")
	l.integer("step", int64(v.Step))
	l.key("layers")
	l.b = append(l.b, '[')
	for i, layer := range v.Layers {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.numbers(layer, 4)
	}
	l.b = append(l.b, ']')
	return w.write()
}

// Valid writes an evaluation.
func (w *Writer) Valid(v Valid) error {
	l := w.line.open("valid")
	l.progress(v.Step, v.Tokens, v.Seconds)
	l.text("source", v.Source)
	l.number("nats", v.Nats)
	l.number("bits_per_byte", v.BitsPerByte)
	return errors.Join(w.write(), w.events.Scalars(v.Step, scalar("bits_per_byte/"+v.Source, v.BitsPerByte)))
}

// Resume writes that the run goes on from a checkpoint.
func (w *Writer) Resume(r Resume) error {
	l := w.line.open("resume")
	l.progress(r.Step, r.Tokens, r.Seconds)
	return errors.Join(w.write(), w.events.Restart(r.Step+1))
}

// Rollback writes that the run went back.
func (w *Writer) Rollback(r Rollback) error {
	l := w.line.open("rollback")
	l.integer("to_step", int64(r.ToStep))
	l.progress(r.Step, r.Tokens, r.Seconds)
	l.text("why", r.Why)
	return errors.Join(w.write(), w.events.Restart(r.ToStep+1))
}

// End writes a session's last line.
func (w *Writer) End(e End) error {
	l := w.line.open("end")
	l.progress(e.Step, e.Tokens, e.Seconds)
	l.text("why", e.Why)
	return w.write()
}

func (w *Writer) write() error {
	w.line.b = append(w.line.b, '}', '\n')
	_, err := w.metrics.Write(w.line.b)
	return err
}

// line is a JSON object in the making. encoding/json would allocate at each step, and refuse NaN.
type line struct{ b []byte }

func (l *line) open(kind string) *line {
	l.b = append(append(append(l.b[:0], `{"kind":"`...), kind...), '"')
	return l
}

func (l *line) key(k string) {
	l.b = append(append(append(l.b, ',', '"'), k...), '"', ':')
}

func (l *line) progress(step int, tokens int64, seconds float64) {
	l.integer("step", int64(step))
	l.integer("tokens", tokens)
	l.number("seconds", seconds)
}

func (l *line) integer(k string, v int64) {
	l.key(k)
	l.b = strconv.AppendInt(l.b, v, 10)
}

func (l *line) unsigned(k string, v uint64) {
	l.key(k)
	l.b = strconv.AppendUint(l.b, v, 10)
}

func (l *line) boolean(k string, v bool) {
	l.key(k)
	l.b = strconv.AppendBool(l.b, v)
}

func (l *line) text(k, v string) {
	l.key(k)
	quoted, _ := json.Marshal(v) // a string always marshals
	l.b = append(l.b, quoted...)
}

func (l *line) number(k string, v float64) {
	l.key(k)
	l.value(v, -1)
}

func (l *line) numbers(list []float64, digits int) {
	l.b = append(l.b, '[')
	for i, v := range list {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.value(v, digits)
	}
	l.b = append(l.b, ']')
}

// value appends v with so many digits, or with as many as it takes to read the same number back where digits is -1.
func (l *line) value(v float64, digits int) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		l.b = append(l.b, "null"...)
		return
	}
	l.b = strconv.AppendFloat(l.b, v, 'g', digits, 64)
}
