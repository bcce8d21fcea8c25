//go:build unix

package grpo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test program a trainer where it is told to be one: what the test below kills.
func TestMain(m *testing.M) {
	file := os.Getenv("SPRAT_TEST_RL")
	if file == "" {
		os.Exit(m.Run())
	}
	c, err := Load(file, nil)
	if err == nil {
		err = Run(context.Background(), c, Options{Resume: true}, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestKilledAnywhere kills a run at random moments, in rollouts, updates, exams and saves, and lets it go on each time: what comes out
// is what comes out of a run that nobody disturbed, to the last bit.
func TestKilledAnywhere(t *testing.T) {
	kills := 2
	if os.Getenv("SPRAT_LONG") != "" {
		kills = 30
	}
	set := []string{fmt.Sprintf("rl.steps=%d", 12*kills), "train.save_every=2", "exam.every=5", "rl.updates=2", "rl.reference_every=7"}
	from := base(t)
	undisturbed := tiny(t, from, set...)
	if err := Run(context.Background(), undisturbed, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	c := tiny(t, from, set...)
	text, err := c.text()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "run.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	landed := 0
	trainer := func() (*exec.Cmd, *strings.Builder) {
		cmd, said := exec.Command(os.Args[0]), &strings.Builder{}
		cmd.Env, cmd.Stderr = append(os.Environ(), "SPRAT_TEST_RL="+file), said
		return cmd, said
	}
	record := filepath.Join(c.Out, "metrics.jsonl")
	lines := func() int {
		b, _ := os.ReadFile(record)
		return bytes.Count(b, []byte("\n"))
	}
	for range kills {
		cmd, said := trainer()
		// It is killed up to eight records further, which are fewer than the twelve steps there are for each kill, however fast the
		// machine; and a little later, in the middle of something.
		until := lines() + rng.IntN(9)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		for lines() < until && len(exited) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
		cmd.Process.Kill()
		var exit *exec.ExitError
		if err := <-exited; errors.As(err, &exit) && !exit.Exited() {
			landed++
		} else if err != nil {
			t.Fatalf("seed %d: %v: %s", seed, err, said)
		}
	}
	if cmd, said := trainer(); cmd.Run() != nil {
		t.Fatalf("seed %d: %s", seed, said)
	}
	same(t, weights(t, c.Out), weights(t, undisturbed.Out))
	if landed < kills/2 {
		t.Errorf("only %d of %d kills landed before the run's end", landed, kills)
	}
}
