package kernel

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

type countJob struct{ done [100]atomic.Int32 }

func (j *countJob) Do(worker, part int) { j.done[part].Add(1) }

func TestPoolDoesEachPartOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 4, 9} {
		p := NewPool(workers)
		for round := range 2000 {
			var j countJob
			parts := round % (len(j.done) + 1)
			p.Run(&j, parts)
			for i := range j.done {
				want := int32(0)
				if i < parts {
					want = 1
				}
				if got := j.done[i].Load(); got != want {
					t.Fatalf("%d workers, %d parts: part %d was done %d times", workers, parts, i, got)
				}
			}
		}
		p.Close()
	}
}

func TestPoolWakes(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for range 20 {
		time.Sleep(5 * spin) // the workers are asleep by then, or about to be: both must work
		var j countJob
		p.Run(&j, len(j.done))
	}
}

func TestPoolRunAllocatesNothing(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	var j countJob
	if n := testing.AllocsPerRun(100, func() { p.Run(&j, len(j.done)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCloseEndsTheGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, sleep := range []time.Duration{0, 5 * spin} { // workers that still spin, and workers that sleep
		p := NewPool(5)
		time.Sleep(sleep)
		p.Close()
	}
	for wait := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(wait) > 5*time.Second {
			t.Fatalf("%d goroutines are left, %d were there before", runtime.NumGoroutine(), before)
		}
	}
}
