package report

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// start is a session of 2 cores at 0.5 dollars an hour: an hour of it costs a dollar.
const start = `{"kind":"run","name":"a run","started":"2026-11-24T12:00:00Z","cores":2,"flops_per_token":1000,"peak_flops":100,"dollars_per_core_hour":0.5}` + "\n"

// steps are lines of steps from a to b, each of 10 tokens and 100 seconds, as counted after shift more seconds. The loss is 100
// times the step, and take after the point.
func steps(a, b, shift, take int) string {
	var s strings.Builder
	for i := a; i <= b; i++ {
		fmt.Fprintf(&s, `{"kind":"step","step":%d,"tokens":%d,"seconds":%d,"loss":%d.%d}`+"\n", i, 10*i, 100*i+shift, 100*i, take)
	}
	return s.String()
}

// reinforced is what a step of reinforcement writes besides.
func reinforced(step, tokens, seconds int) string {
	return fmt.Sprintf(`{"kind":"rl","step":%[1]d,"reward":0.%[1]d,"accuracy":0.5,"length":70,"kl":0.001,"entropy":0.3,"clip_share":0.02,"right":0.1,"wrong":0.2}
{"kind":"exam","step":%[1]d,"tokens":%[2]d,"seconds":%[3]d,"family":"sum","problems":8,"samples":2,"pass":0.%[1]d,"error":0.05,"length":60}
{"kind":"transcript","step":%[1]d,"family":"sum","question":"1 + 1?","answer":"2","reply":"<think>step %[1]d</think>2","right":true}
`, step, tokens, seconds)
}

func read(t *testing.T, text string) *Run {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, MetricsFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	return r
}

// check is what holds of every Run.
func (r *Run) check() error {
	if !ascending(r.Steps, func(s Step) int { return s.Step }, 1) || !ascending(r.Loads, func(l Load) int { return l.Step }, 1) ||
		!ascending(r.RLs, func(v RL) int { return v.Step }, 1) || !ascending(r.Valids, func(v Valid) int { return v.Step }, 0) ||
		!ascending(r.Exams, func(v Exam) int { return v.Step }, 0) || !ascending(r.Transcripts, func(v Transcript) int { return v.Step }, 0) {
		return fmt.Errorf("a step stands before an earlier one: %+v", r)
	}
	for _, v := range r.Transcripts {
		if most := 3*maxText + 10; len(v.Question) > most || len(v.Answer) > most || len(v.Reply) > most || strings.ContainsAny(v.Reply, "\r\x1b\u202e") {
			return fmt.Errorf("a transcript of %d bytes: %.200q", len(v.Reply), v.Reply)
		}
	}
	l := r.Ledger
	for _, v := range []float64{float64(l.Tokens), l.FLOPs, l.Seconds, l.CoreHours, l.Dollars, l.PeakShare, float64(l.LostTokens), l.LostSeconds} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("a ledger with %v in it: %+v", v, l)
		}
	}
	if l.LostTokens > l.Tokens || l.LostSeconds > l.Seconds {
		return fmt.Errorf("more was lost than done: %+v", l)
	}
	return nil
}

// ascending tells whether steps go up by that much at least.
func ascending[T any](list []T, step func(T) int, by int) bool {
	for i := 1; i < len(list); i++ {
		if step(list[i])-step(list[i-1]) < by {
			return false
		}
	}
	return true
}

// TestGoingBack holds curves and ledger to what was done, in every way of going back.
func TestGoingBack(t *testing.T) {
	valid := `{"kind":"valid","step":2,"tokens":20,"seconds":230,"source":"s","nats":3,"bits_per_byte":1}` + "\n"
	late := `{"kind":"valid","step":4,"tokens":40,"seconds":460,"source":"s","nats":2,"bits_per_byte":0.5}` + "\n"
	load := `{"kind":"load","step":2,"layers":[[1,1]]}` + "\n" + `{"kind":"load","step":4,"layers":[[2,0]]}` + "\n"
	for _, c := range []struct {
		name        string
		text        string
		losses      string // of the steps: "100.1 200.1"
		tokens      int64
		seconds     float64
		lostTokens  int64
		lostSeconds float64
		returns     int
	}{
		{"straight", start + steps(1, 4, 0, 1), "100.1 200.1 300.1 400.1", 40, 400, 0, 0, 0},
		{"resumed where it stopped", start + steps(1, 2, 0, 1) + start + `{"kind":"resume","step":2,"tokens":20,"seconds":200}` + "\n" + steps(3, 4, 0, 2),
			"100.1 200.1 300.2 400.2", 40, 400, 0, 0, 1},
		{"killed after saving", start + steps(1, 2, 0, 1) + start + `{"kind":"resume","step":2,"tokens":20,"seconds":207}` + "\n" + steps(3, 4, 7, 2),
			"100.1 200.1 300.2 400.2", 40, 407, 0, 0, 1},
		{"resumed from earlier", start + steps(1, 4, 0, 1) + start + `{"kind":"resume","step":2,"tokens":20,"seconds":200}` + "\n" + steps(3, 5, 0, 2),
			"100.1 200.1 300.2 400.2 500.2", 70, 700, 20, 200, 1},
		{"the same, no seconds in the line", start + steps(1, 4, 0, 1) + start + `{"kind":"resume","step":2,"tokens":20}` + "\n" + steps(3, 5, 0, 2),
			"100.1 200.1 300.2 400.2 500.2", 70, 700, 20, 200, 1},
		{"the same, no line", start + steps(1, 4, 0, 1) + start + steps(3, 5, 0, 2), "100.1 200.1 300.2 400.2 500.2", 70, 700, 20, 200, 1},
		{"twice from the same place", start + steps(1, 4, 0, 1) + `{"kind":"resume","step":2,"tokens":20,"seconds":200}` + "\n" + steps(3, 3, 0, 2) +
			`{"kind":"resume","step":2,"tokens":20,"seconds":200}` + "\n" + steps(3, 4, 0, 3), "100.1 200.1 300.3 400.3", 70, 700, 30, 300, 2},
		{"and then from before that", start + steps(1, 4, 0, 1) + `{"kind":"resume","step":2,"tokens":20,"seconds":200}` + "\n" + steps(3, 3, 0, 2) +
			`{"kind":"resume","step":1,"tokens":10,"seconds":100}` + "\n" + steps(2, 4, 0, 3), "100.1 200.3 300.3 400.3", 80, 800, 40, 400, 2},
		{"from the start", start + steps(1, 3, 0, 1) + start + `{"kind":"resume","step":0,"tokens":0,"seconds":0}` + "\n" + steps(1, 2, 0, 2),
			"100.2 200.2", 50, 500, 30, 300, 1},
		{"rolled back, the clock too", start + steps(1, 4, 0, 1) + `{"kind":"rollback","step":4,"to_step":3,"tokens":30,"seconds":300,"why":"spike"}` + "\n" + steps(4, 4, 0, 2),
			"100.1 200.1 300.1 400.2", 50, 500, 10, 100, 1},
		{"rolled back, the clock runs on", start + steps(1, 4, 0, 1) + `{"kind":"rollback","step":4,"to_step":3,"tokens":40,"seconds":400}` + "\n" +
			`{"kind":"step","step":4,"tokens":50,"seconds":500,"loss":400.2}` + "\n", "100.1 200.1 300.1 400.2", 50, 500, 10, 100, 1},
		{"rolled back, the tokens only", start + steps(1, 4, 0, 1) + `{"kind":"rollback","step":4,"to_step":3,"tokens":30,"seconds":400}` + "\n" +
			`{"kind":"step","step":4,"tokens":40,"seconds":500,"loss":400.2}` + "\n", "100.1 200.1 300.1 400.2", 50, 500, 10, 100, 1},
		{"evaluation before the checkpoint is kept", start + steps(1, 2, 0, 1) + valid + steps(3, 4, 30, 1) + late +
			`{"kind":"rollback","step":4,"to_step":2,"tokens":40,"seconds":460}` + "\n", "100.1 200.1", 40, 460, 20, 230, 1},
		{"loads and losses of lost steps go", start + steps(1, 2, 0, 1) + valid + reinforced(2, 20, 230) + steps(3, 4, 30, 1) + load +
			reinforced(4, 40, 460) + late + `{"kind":"resume","step":3,"tokens":30,"seconds":330}` + "\n",
			"100.1 200.1 300.1", 40, 460, 10, 130, 1},
		{"an end counts", start + steps(1, 2, 0, 1) + `{"kind":"end","step":2,"tokens":20,"seconds":260,"why":"done"}` + "\n", "100.1 200.1", 20, 260, 0, 0, 0},
	} {
		r := read(t, c.text)
		var losses []string
		for _, s := range r.Steps {
			losses = append(losses, fmt.Sprintf("%.1f", s.Loss))
		}
		if got := strings.Join(losses, " "); got != c.losses {
			t.Errorf("%s: losses %s, want %s", c.name, got, c.losses)
		}
		last := 0
		if len(r.Steps) > 0 {
			last = r.Steps[len(r.Steps)-1].Step
		}
		for _, v := range r.Valids {
			if v.Step > last {
				t.Errorf("%s: a validation of step %d is left", c.name, v.Step)
			}
		}
		for _, l := range r.Loads {
			if l.Step > last {
				t.Errorf("%s: a load of step %d is left", c.name, l.Step)
			}
		}
		if n := len(r.Loads); len(r.RLs) != n || len(r.Exams) != n || len(r.Transcripts) != n {
			t.Errorf("%s: with %d loads there are %d, %d and %d lines of reinforcement", c.name, n, len(r.RLs), len(r.Exams), len(r.Transcripts))
		}
		l := r.Ledger
		if l.Tokens != c.tokens || l.Seconds != c.seconds || l.LostTokens != c.lostTokens || l.LostSeconds != c.lostSeconds || l.Returns != c.returns {
			t.Errorf("%s: %d tokens and %v s, lost %d and %v s, %d returns; want %d and %v, %d and %v, %d", c.name,
				l.Tokens, l.Seconds, l.LostTokens, l.LostSeconds, l.Returns, c.tokens, c.seconds, c.lostTokens, c.lostSeconds, c.returns)
		}
	}
}

// TestLedger has numbers that come out even: an hour on 2 cores, then half an hour on 8 at twice the price, of which a quarter lost.
func TestLedger(t *testing.T) {
	r := read(t, start+`{"kind":"step","step":1,"tokens":360,"seconds":3600,"skipped":true}`+"\n"+
		`{"kind":"run","name":"more","cores":8,"flops_per_token":1000,"peak_flops":300,"dollars_per_core_hour":1}`+"\n"+
		`{"kind":"resume","step":1,"tokens":360,"seconds":3600}`+"\n"+
		`{"kind":"step","step":2,"tokens":405,"seconds":4050}`+"\n"+
		`{"kind":"resume","step":1,"tokens":360,"seconds":3600}`+"\n"+
		`{"kind":"step","step":2,"tokens":495,"seconds":4950,"skipped":true}`+"\n")
	want := Ledger{
		Tokens: 540, FLOPs: 540_000, Seconds: 5400, CoreHours: 2 + 4, DollarsPerCoreHour: 1, Dollars: 1 + 4,
		PeakShare: 540_000. / (3600*100 + 1800*300), LostTokens: 45, LostSeconds: 450, Sessions: 2, Returns: 2, SkippedSteps: 2,
	}
	if r.Ledger != want {
		t.Errorf("the ledger is %+v\nwant %+v", r.Ledger, want)
	}
}

func TestReadsWhatWasWritten(t *testing.T) {
	nan := math.NaN()
	dir, _ := written(t, func(w *Writer) error {
		for _, err := range []error{
			w.Start(filledStart), w.Step(filledStep), w.Load(filledLoad), w.Valid(filledValid), w.RL(filledRL), w.Exam(filledExam),
			w.Transcript(filledTold),
			w.Step(Step{Step: 2, Tokens: 4, Seconds: 7, Loss: nan, MTP: Floats{nan, 1}, GradNorm: math.Inf(1)}), w.End(filledEnd),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := os.WriteFile(filepath.Join(dir, SettingsFile), []byte("seed = 1\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := filledStart
	want.Name = "a \"name\"\ufffd" // its newline could steer a terminal
	if !reflect.DeepEqual(r.Start, want) || !reflect.DeepEqual(r.Steps[0], filledStep) || !reflect.DeepEqual(r.Loads, []Load{filledLoad}) ||
		!reflect.DeepEqual(r.Valids, []Valid{filledValid}) || !reflect.DeepEqual(r.RLs, []RL{filledRL}) ||
		!reflect.DeepEqual(r.Exams, []Exam{filledExam}) || !reflect.DeepEqual(r.Transcripts, []Transcript{filledTold}) || *r.End != filledEnd || r.Name != want.Name || r.Settings != "seed = 1\ufffd" {
		t.Errorf("read %+v", r)
	}
	if s := r.Steps[1]; !math.IsNaN(s.Loss) || !math.IsNaN(s.GradNorm) || !math.IsNaN(s.MTP[0]) || s.MTP[1] != 1 {
		t.Errorf("what is not finite was read as %+v", s)
	}
}

func TestSkipsWhatItCannotRead(t *testing.T) {
	r := read(t, strings.Join([]string{
		`{"kind":"step","step":1,"tokens":10,"seconds":100,"loss":null}`,
		`not json`, ``, `[]`, `null`, `{"kind":7}`, `{"kind":"step"`, `{"kind":"from the future","step":9}`,
		`{"kind":"step","step":-1}`, `{"kind":"step","step":0}`, `{"kind":"step","step":2,"tokens":-5}`, `{"kind":"step","step":2,"seconds":-1}`,
		`{"kind":"step","step":2,"tokens":9007199254740993}`, `{"kind":"step","step":2,"seconds":1e300}`, `{"kind":"step","step":2,"loss":1e999}`,
		`{"kind":"step","step":2,"loss":"x"}`, `{"kind":"run","started":"yesterday"}`, `{"kind":"load","step":1,"layers":[[1,"x"]]}`,
		`{"kind":"rl","step":-1}`, `{"kind":"exam","step":1,"tokens":-1}`, `{"kind":"exam","step":-1}`, `{"kind":"transcript","step":-1}`,
		`{"kind":"transcript","step":1,"reply":7}`, `{"kind":"resume","step":-1}`, `{"kind":"end","step":1,"tokens":-1}`,
		`{"kind":"step","step":2,"junk":"` + strings.Repeat("x", maxLine) + `"}`,
		`{"step":2,"tokens":20,"seconds":200,"loss":7,"later":[1],"kind":"step"}`,
		`{"kind":"step","step":3,"tokens":30,"seconds":300}`, // no newline after it: torn
	}, "\n"))
	if len(r.Steps) != 2 || !math.IsNaN(r.Steps[0].Loss) || r.Steps[1].Loss != 7 || r.Ledger.Tokens != 20 || len(r.Loads) != 0 ||
		len(r.RLs)+len(r.Exams)+len(r.Transcripts) != 0 || r.Sessions != 0 {
		t.Errorf("read %+v", r)
	}
	if r.Name != filepath.Base(r.Dir) {
		t.Errorf("a run without a name is called %q", r.Name)
	}
}

func TestReadSaysWhatToDo(t *testing.T) {
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), MetricsFile) || strings.Contains(err.Error(), "\n") {
		t.Errorf("an empty directory: %v", err)
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxFile + 1); err != nil {
		t.Skip("no sparse files here")
	}
	f.Close()
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a file of %d bytes: %v", maxFile+1, err)
	}
}

// TestLoadsAreThinned has more numbers than are kept: the first stays, and those that stay are spread evenly.
func TestLoadsAreThinned(t *testing.T) {
	r := &reader{run: &Run{}}
	layer := make(Floats, 1<<15)
	for i := range 3 * maxLoads / len(layer) {
		r.load(Load{Step: i, Layers: []Floats{layer}})
	}
	held := 0
	for _, l := range r.run.Loads {
		held += l.size()
	}
	if n := len(r.run.Loads); held != r.loads || held > maxLoads || n < maxLoads/len(layer)/4 || r.run.Loads[0].Step != 0 {
		t.Errorf("%d loads of %d numbers are kept, counted as %d", n, held, r.loads)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(start + steps(1, 3, 0, 1) + `{"kind":"resume","step":2,"tokens":20,"seconds":200}` + "\n" + steps(3, 4, 0, 2)))
	f.Add([]byte(`{"kind":"rollback","step":9,"to_step":3,"seconds":1e11}` + "\n" + `{"kind":"end","why":"done"}` + "\n"))
	f.Add([]byte(start + `{"kind":"load","step":1,"layers":[[],[1,null,1e308]]}` + "\n" + `{"kind":"load","step":2,"layers":null}` + "\n"))
	f.Add([]byte(`{"kind":"step","step":1,"loss":1e308,"lr":-1e308,"grad_norm":1e-320,"mtp":[null,1e29],"tokens":9007199254740992,"seconds":1e11}` + "\n" +
		`{"kind":"valid","step":1,"source":"<script>","bits_per_byte":-1e29}` + "\n"))
	f.Add([]byte(start + reinforced(0, 0, 0) + steps(1, 2, 0, 1) + reinforced(2, 20, 200) + reinforced(2, 20, 200)))
	f.Add([]byte(`{"kind":"rl","step":3,"reward":1e300,"kl":-1e29}` + "\n" + `{"kind":"exam","step":9,"family":"\u202e<b>","pass":-7}` + "\n" +
		`{"kind":"transcript","step":9,"question":"</pre>","reply":"</think>a<think>\u001b[2J\r\n</think>\u202e"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parse(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.check(); err != nil {
			t.Fatal(err)
		}
		if err := checkPageOf(r); err != nil {
			t.Fatal(err)
		}
		if twice := Compare([]*Run{r, r}); len(twice.Targets) > maxSources || len(slices.Concat(twice.Tables())) == 0 {
			t.Errorf("compared: %+v", twice)
		}
	})
}
