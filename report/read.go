package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"unicode"
)

// Run is what a run did, each step once.
type Run struct {
	Dir      string
	Name     string
	Settings string // the run file, "" where there is none
	Start    Start  // of the latest session
	Sessions int
	Steps    []Step  // ascending
	Loads    []Load  // ascending
	Valids   []Valid // ascending, sources mixed
	RLs      []RL    // ascending
	Exams    []Exam  // ascending, families mixed
	Returns  []Return
	End      *End // nil where the last session has not ended, or was killed
	Ledger   Ledger

	Transcripts []Transcript // ascending, problems mixed
}

// Return is a place where a run went back and then on.
type Return struct {
	From, To int // steps
	Why      string
}

// Limits on what is read. They are far above what runs write, and hold memory to a small multiple of the file.
const (
	maxFile    = 1 << 30 // bytes
	maxLine    = 4 << 20
	maxSteps   = 1 << 22
	maxValids  = 1 << 20
	maxReturns = 1 << 16
	maxWritten = 1 << 16 // transcripts
	maxLoads   = 1 << 24 // numbers; of more, every second Load is dropped
	maxName    = 200     // bytes of a name or source
	maxText    = 1 << 15 // bytes of a question, an answer or a reply
	maxCount   = 1 << 53 // tokens or steps; a float64 counts them exactly
	maxSeconds = 1e11    // three thousand years
)

// Read reads the record in dir. Lines that it does not know or cannot parse are skipped, as is a last line without its newline.
func Read(dir string) (*Run, error) {
	f, err := os.Open(filepath.Join(dir, MetricsFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%s has no %s: give the directory that a training run writes to (its run file's out)", dir, MetricsFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a run: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("reading a run: %w", err)
	} else if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d: delete lines of kind step from it", f.Name(), info.Size(), maxFile)
	}
	r, err := parse(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	r.Dir = dir
	if r.Name = r.Start.Name; r.Name == "" {
		r.Name = nameOf(dir)
	}
	if r.Settings, err = readSettings(filepath.Join(dir, SettingsFile)); err != nil {
		return nil, err
	}
	return r, nil
}

func nameOf(dir string) string {
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	return filepath.Base(dir)
}

func readSettings(path string) (string, error) {
	const most = 1 << 20
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading a run's settings: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", fmt.Errorf("reading a run's settings: %w", err)
	}
	return strings.ToValidUTF8(string(text), "\ufffd"), nil
}

// reader builds a Run line by line.
type reader struct {
	run    *Run
	loads  int // numbers in run.Loads
	bill   bill
	useful []useful // of each of run.Steps
}

// useful are the counters when a step was done, lost work left out.
type useful struct{ tokens, seconds float64 }

func parse(in io.Reader) (*Run, error) {
	b := bufio.NewReaderSize(in, maxLine)
	r := &reader{run: &Run{}}
	for {
		line, err := b.ReadSlice('\n')
		switch {
		case err == nil:
			r.line(line)
		case errors.Is(err, bufio.ErrBufferFull):
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = b.ReadSlice('\n')
			}
		}
		if err == io.EOF { // what is left has no newline: torn
			break
		}
		if err != nil {
			return nil, err
		}
	}
	r.bill.close(r.run.Start)
	r.run.Ledger = r.bill.ledger(r.run)
	return r.run, nil
}

// line takes in one line, or skips it.
func (r *reader) line(text []byte) {
	nan := math.NaN()
	switch kind(text) {
	case "run":
		take(text, Start{}, r.start)
	case "step":
		take(text, Step{Loss: nan, Balance: nan, LR: nan, GradNorm: nan, MaxVio: nan, TokensPerSecond: nan, PeakShare: nan}, r.step)
	case "load":
		take(text, Load{}, r.load)
	case "valid":
		take(text, Valid{Nats: nan, BitsPerByte: nan}, r.valid)
	case "rl":
		take(text, noRL(), r.rl)
	case "exam":
		take(text, Exam{Pass: nan, Error: nan, Length: nan, Unformed: nan}, r.exam)
	case "transcript":
		take(text, Transcript{}, r.transcript)
	case "resume":
		take(text, Resume{Tokens: -1, Seconds: -1}, func(v Resume) { r.back(v.Step, v.Tokens, v.Seconds, "resumed") })
	case "rollback":
		take(text, Rollback{Tokens: -1, Seconds: -1}, func(v Rollback) { r.back(v.ToStep, v.Tokens, v.Seconds, clip(v.Why)) })
	case "end":
		take(text, End{}, r.end)
	}
}

// kind is a line's kind. The writer puts it first.
func kind(text []byte) string {
	if rest, ok := bytes.CutPrefix(text, []byte(`{"kind":"`)); ok {
		if name, _, ok := bytes.Cut(rest, []byte{'"'}); ok {
			return string(name)
		}
	}
	var v struct{ Kind string }
	if json.Unmarshal(text, &v) != nil {
		return ""
	}
	return v.Kind
}

// take decodes text over v, whose numbers keep their values where text has none or null.
func take[T any](text []byte, v T, use func(T)) {
	if json.Unmarshal(text, &v) == nil {
		use(v)
	}
}

// sane tells whether counters can be what a run counted.
func sane(step int, tokens int64, seconds float64) bool {
	return step >= 0 && int64(step) <= maxCount && tokens >= 0 && tokens <= maxCount && seconds >= 0 && seconds <= maxSeconds
}

// clip bounds a text, and takes from it what could steer a terminal.
func clip(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxName)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, s)
}

func (r *reader) start(s Start) {
	s.Name, s.Machine, s.Precision, s.Kernels = clip(s.Name), clip(s.Machine), clip(s.Precision), clip(s.Kernels)
	s.Cores = max(s.Cores, 0)
	for _, v := range []*float64{&s.FLOPsPerToken, &s.PeakFLOPs, &s.DollarsPerCoreHour} {
		if *v = max(*v, 0); *v > 1e30 {
			*v = 0
		}
	}
	r.bill.close(r.run.Start)
	r.run.Start, r.run.End = s, nil
	r.run.Sessions++
}

func (r *reader) step(s Step) {
	if !sane(s.Step, s.Tokens, s.Seconds) || s.Step == 0 || len(r.run.Steps) == maxSteps {
		return
	}
	if n := len(r.run.Steps); n > 0 && s.Step <= r.run.Steps[n-1].Step {
		r.back(s.Step-1, -1, -1, "began again")
	}
	r.bill.advance(s.Tokens, s.Seconds)
	if s.Skipped {
		r.bill.skipped++
	}
	r.run.Steps = append(r.run.Steps, s)
	r.useful = append(r.useful, useful{r.bill.tokens.useful(), r.bill.seconds.useful()})
	r.run.End = nil
}

func (r *reader) load(l Load) {
	n := len(r.run.Loads)
	if l.Step < 0 || n > 0 && l.Step <= r.run.Loads[n-1].Step {
		return
	}
	r.run.Loads = append(r.run.Loads, l)
	if r.loads += l.size(); r.loads <= maxLoads {
		return
	}
	r.loads = 0
	kept := r.run.Loads[:0]
	for i := 0; i < len(r.run.Loads); i += 2 {
		kept = append(kept, r.run.Loads[i])
		r.loads += r.run.Loads[i].size()
	}
	clear(r.run.Loads[len(kept):])
	r.run.Loads = kept
}

// size is how many numbers l takes, its headers at their weight.
func (l Load) size() int {
	n := 8
	for _, layer := range l.Layers {
		n += 3 + len(layer)
	}
	return n
}

func (r *reader) valid(v Valid) {
	n := len(r.run.Valids)
	if !sane(v.Step, v.Tokens, v.Seconds) || n == maxValids || n > 0 && v.Step < r.run.Valids[n-1].Step {
		return
	}
	r.evaluated(v.Step, v.Tokens, v.Seconds)
	v.Source = clip(v.Source)
	r.run.Valids = append(r.run.Valids, v)
}

// evaluated counts the time of an evaluation after step.
func (r *reader) evaluated(step int, tokens int64, seconds float64) {
	r.bill.advance(tokens, seconds)
	if last := len(r.run.Steps) - 1; last >= 0 && r.run.Steps[last].Step == step {
		r.useful[last] = useful{r.bill.tokens.useful(), r.bill.seconds.useful()} // a checkpoint of this step holds this time too
	}
}

// back forgets what came after step. The counters go on from tokens and seconds, or from that step's where those are negative.
func (r *reader) back(step int, tokens int64, seconds float64, why string) {
	if !sane(step, max(tokens, 0), max(seconds, 0)) {
		return
	}
	run := r.run
	from := 0
	if n := len(run.Steps); n > 0 {
		from = run.Steps[n-1].Step
	}
	n := upTo(run.Steps, func(s Step) int { return s.Step }, step)
	var at Step
	var kept useful
	if n > 0 {
		at, kept = run.Steps[n-1], r.useful[n-1]
	}
	if tokens < 0 {
		tokens = at.Tokens
	}
	if seconds < 0 {
		seconds = at.Seconds
	}
	r.bill.tokens.back(float64(tokens), kept.tokens, n < len(run.Steps))
	r.bill.seconds.back(seconds, kept.seconds, n < len(run.Steps))
	run.Steps, r.useful = run.Steps[:n], r.useful[:n]
	run.Valids = run.Valids[:upTo(run.Valids, func(v Valid) int { return v.Step }, step)]
	run.RLs = run.RLs[:upTo(run.RLs, func(v RL) int { return v.Step }, step)]
	run.Exams = run.Exams[:upTo(run.Exams, func(v Exam) int { return v.Step }, step)]
	run.Transcripts = run.Transcripts[:upTo(run.Transcripts, func(v Transcript) int { return v.Step }, step)]
	loads := upTo(run.Loads, func(l Load) int { return l.Step }, step)
	for _, l := range run.Loads[loads:] {
		r.loads -= l.size()
	}
	run.Loads = run.Loads[:loads]
	if len(run.Returns) < maxReturns {
		run.Returns = append(run.Returns, Return{From: from, To: step, Why: why})
	}
}

// upTo is how many of list, which ascends, are not after step.
func upTo[T any](list []T, of func(T) int, step int) int {
	return sort.Search(len(list), func(i int) bool { return of(list[i]) > step })
}

func (r *reader) end(e End) {
	if !sane(e.Step, e.Tokens, e.Seconds) {
		return
	}
	r.bill.advance(e.Tokens, e.Seconds)
	e.Why = clip(e.Why)
	r.run.End = &e
}
