package quant

import (
	"math"
	"math/rand/v2"
	"testing"
)

// correlated are the second moments of inputs of which some are much larger than others and all have a part in common, and so many
// inputs.
func correlated(k, tokens int) (h []float32, inputs [][]float64) {
	rng := rand.New(rand.NewPCG(5, uint64(k)))
	size := make([]float64, k)
	for i := range size {
		size[i] = math.Exp(rng.NormFloat64())
	}
	h = make([]float32, k*k)
	for range tokens {
		x, common := make([]float64, k), rng.NormFloat64()
		for i := range x {
			x[i] = size[i] * (rng.NormFloat64() + common)
		}
		for i := range x {
			for j := range x {
				h[i*k+j] += float32(x[i] * x[j])
			}
		}
		inputs = append(inputs, x)
	}
	return h, inputs
}

// outputError is Σ (e·x)² over inputs, e being the change of all rows.
func outputError(x []float32, m *Ints, inputs [][]float64) float64 {
	y := make([]float32, len(x))
	m.Float32(y)
	sum := 0.0
	for r := range m.Rows {
		for _, in := range inputs {
			d := 0.0
			for i, v := range in {
				d += v * float64(x[r*m.Cols+i]-y[r*m.Cols+i])
			}
			sum += d * d
		}
	}
	return sum
}

// TestCalibratedOutputs: on the inputs that it goes by, the outputs change less than with the nearest integers.
func TestCalibratedOutputs(t *testing.T) {
	const rows, k = 64, 80
	h, inputs := correlated(k, 600)
	x := normals(9, rows*k)
	moments, err := NewMoments(h, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, bits := range []int{4, 8} {
		for _, group := range []int{32, 64} {
			nearest, err := Nearest(x, rows, k, bits, group)
			if err != nil {
				t.Fatal(err)
			}
			calibrated, err := Calibrated(x, rows, k, bits, group, moments)
			if err != nil {
				t.Fatal(err)
			}
			ratio := outputError(x, calibrated, inputs) / outputError(x, nearest, inputs)
			t.Logf("%d bits, groups of %d: %.3f of the squared change", bits, group, ratio)
			if ratio > 0.6 {
				t.Errorf("%d bits, groups of %d: %.3f of nearest's squared change of the outputs, want 0.6 at most", bits, group, ratio)
			}
		}
	}
}

// TestMoments: in their terms the change of an output is what it is by the definition, e·(H + damping)·eᵀ.
func TestMoments(t *testing.T) {
	const k = 40
	h, _ := correlated(k, 100)
	m, err := NewMoments(h, k)
	if err != nil {
		t.Fatal(err)
	}
	mean := 0.0
	for i := range k {
		mean += float64(h[i*k+i]) / k
	}
	e := normals(10, k)
	want, got := 0.0, 0.0
	for i := range k {
		want += dampings[0] * mean * float64(e[i]) * float64(e[i])
		component := float64(e[i])
		for j := range k {
			want += float64(e[i]) * float64(h[i*k+j]) * float64(e[j])
			if j < i {
				component += float64(m.above[i*k+j]) * float64(e[j])
			}
		}
		got += float64(m.weight[i]) * component * component
	}
	if math.Abs(got-want) > 1e-4*want {
		t.Errorf("the change is %g, want %g", got, want)
	}
}

// TestWithoutCorrelation: inputs that have nothing to do with each other make nothing up for each other.
func TestWithoutCorrelation(t *testing.T) {
	const rows, k = 4, 64
	h := make([]float32, k*k)
	for i := range k {
		h[i*k+i] = 3
	}
	moments, err := NewMoments(h, k)
	if err != nil {
		t.Fatal(err)
	}
	x := normals(11, rows*k)
	calibrated, err := Calibrated(x, rows, k, 4, 32, moments)
	if err != nil {
		t.Fatal(err)
	}
	nearest, err := Nearest(x, rows, k, 4, 32)
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]float32, len(x)), make([]float32, len(x))
	calibrated.Float32(a)
	nearest.Float32(b)
	ours, theirs := 0.0, 0.0
	for i, v := range x {
		ours += math.Pow(float64(v-a[i]), 2)
		theirs += math.Pow(float64(v-b[i]), 2)
	}
	if math.Abs(ours-theirs) > 1e-5*theirs { // two scales that are as good may be taken for one another
		t.Errorf("squared error %g, nearest has %g", ours, theirs)
	}
}

func TestMomentsRefuse(t *testing.T) {
	for what, h := range map[string][]float32{
		"zeros": {0, 0, 0, 0}, "NaN": {float32(math.NaN()), 0, 0, 1}, "infinity": {1, 0, 0, float32(math.Inf(1))}, "no moments": {1, 100, 100, 1},
	} {
		if _, err := NewMoments(h, 2); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if _, err := NewMoments([]float32{1, 1, 1, 1}, 2); err != nil { // of one input: singular, and damped
		t.Error(err)
	}
}
