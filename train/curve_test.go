package train

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sprat/kernel"
)

var update = flag.Bool("update", false, "write testdata/loss.txt anew; with -tags purego alone")

// TestLossCurve trains for 50 steps and compares the losses with those in testdata/loss.txt, which the portable kernels made: with
// these exactly, so that no change of the mathematics goes by unseen; with others, which round otherwise, to within a band.
func TestLossCurve(t *testing.T) {
	// Differences of 1e-7 grow while a run is young; at 50 steps they are some 1e-5 here, and a wrong formula is 1e-2 or more.
	const band = 1e-3
	c := tinyRun(t, "train.steps=50", "train.precision=fp32", "schedule.batch_from=1")
	r := openRun(t, c, false, io.Discard)
	r.steps(t, 50)
	var got strings.Builder
	losses := curve(t, c.Out)
	for step := 1; step <= 50; step++ {
		fmt.Fprintf(&got, "%d %.17g\n", step, losses[step])
	}
	path := filepath.Join("testdata", "loss.txt")
	portable := kernel.Active() == "portable"
	if *update && portable {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if portable && got.String() != string(want) {
		t.Errorf("the losses changed; if they should have, write them anew with: go test -tags purego ./train -run LossCurve -update\n%s", &got)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(want)), "\n") {
		var step int
		var loss float64
		if _, err := fmt.Sscan(line, &step, &loss); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if math.Abs(losses[step]-loss) > band*loss {
			t.Errorf("step %d: loss %v, want %v", step, losses[step], loss)
		}
	}
}
