package train

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// BenchmarkCheckpoint is what a checkpoint of the model of runs/s.json costs the run: the pause until training goes on, the time until
// it is on the disk, and a step to compare with.
func BenchmarkCheckpoint(b *testing.B) {
	text, err := os.ReadFile("../runs/s.json")
	if err != nil {
		b.Fatal(err)
	}
	c := tinyRun(b, "train.batch=8", "train.micro=8", "train.sequence=512", "train.steps=100")
	if err := json.Unmarshal(text, &c.Model); err != nil {
		b.Fatal(err)
	}
	r := openRun(b, c, false, io.Discard)
	r.steps(b, 1)
	var pause, whole, step time.Duration
	for b.Loop() {
		start := time.Now()
		r.steps(b, 1)
		step += time.Since(start)
		start = time.Now()
		err := r.save()
		pause += time.Since(start)
		if err := errors.Join(err, r.saver.Wait()); err != nil {
			b.Fatal(err)
		}
		whole += time.Since(start)
	}
	b.ReportMetric(pause.Seconds()/float64(b.N), "s-pause/op")
	b.ReportMetric(whole.Seconds()/float64(b.N), "s-whole/op")
	b.ReportMetric(step.Seconds()/float64(b.N), "s-step/op")
}
