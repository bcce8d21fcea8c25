package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Pool is a fixed number of workers that carry out jobs together. Between jobs they spin for a moment, as the next job is
// usually microseconds away, and then sleep. One goroutine uses a Pool at a time; that goroutine is worker 0.
type Pool struct {
	job   Job
	parts int64
	next  atomic.Int64 // part to hand out
	turn  atomic.Int64 // number of jobs started
	busy  atomic.Int64 // workers, but the caller, that have not finished the job
	quit  atomic.Bool

	mu     sync.Mutex
	wake   *sync.Cond // turn has changed
	asleep atomic.Int64

	workspaces []*Workspace
	products   productJob
	weights    weightJob
}

// Job is work in parts. Do is called once for each part, by any worker, several at a time.
type Job interface{ Do(worker, part int) }

// spin is how long an idle worker waits before it sleeps.
const spin = 40 * time.Microsecond

// NewPool starts workers-1 goroutines; workers <= 0 takes one worker for each processor. Close ends them.
func NewPool(workers int) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{}
	p.wake = sync.NewCond(&p.mu)
	for range workers {
		p.workspaces = append(p.workspaces, NewWorkspace())
	}
	for w := 1; w < workers; w++ {
		go p.work(w)
	}
	return p
}

// Workers is the number of workers, the caller included.
func (p *Pool) Workers() int { return len(p.workspaces) }

// Workspace is the packing space of a worker, for use in a Job.
func (p *Pool) Workspace(worker int) *Workspace { return p.workspaces[worker] }

// Close ends the goroutines. The Pool is of no use after it.
func (p *Pool) Close() {
	p.quit.Store(true)
	p.start()
}

// Run calls j.Do(worker, part) for every part in [0, parts) and returns when all are done.
func (p *Pool) Run(j Job, parts int) {
	if parts <= 0 {
		return
	}
	if parts == 1 || len(p.workspaces) == 1 {
		for i := range parts {
			j.Do(0, i)
		}
		return
	}
	p.job, p.parts = j, int64(parts)
	p.next.Store(0)
	p.busy.Store(int64(len(p.workspaces) - 1))
	p.start()
	p.take(0)
	for n := 0; p.busy.Load() > 0; n++ {
		if n > 1000 {
			runtime.Gosched() // the others may need this processor
		}
	}
	p.job = nil
}

// start lets the workers go, waking those that sleep.
func (p *Pool) start() {
	p.turn.Add(1)
	if p.asleep.Load() > 0 {
		p.mu.Lock()
		p.wake.Broadcast()
		p.mu.Unlock()
	}
}

// take does parts until none is left.
func (p *Pool) take(worker int) {
	for {
		i := p.next.Add(1) - 1
		if i >= p.parts {
			return
		}
		p.job.Do(worker, int(i))
	}
}

func (p *Pool) work(worker int) {
	for turn := int64(1); ; turn++ {
		p.await(turn)
		if p.quit.Load() {
			return
		}
		p.take(worker)
		p.busy.Add(-1)
	}
}

// await returns when job number turn has started.
func (p *Pool) await(turn int64) {
	for start := time.Now(); time.Since(start) < spin; {
		for range 64 {
			if p.turn.Load() >= turn {
				return
			}
		}
		runtime.Gosched()
	}
	p.mu.Lock()
	p.asleep.Add(1)
	for p.turn.Load() < turn {
		p.wake.Wait()
	}
	p.asleep.Add(-1)
	p.mu.Unlock()
}
