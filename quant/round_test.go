package quant

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sprat/kernel"
	"sprat/safetensors"
)

func normals(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// TestRoundTrip: what is rounded, packed, written and read is what was rounded, bit for bit, and what a device rounds by itself.
func TestRoundTrip(t *testing.T) {
	for _, c := range []struct{ rows, cols, bits, group int }{
		{5, 96, 4, 32}, {5, 96, 8, 32}, {3, 128, 4, 64}, {3, 128, 8, 128}, {4, 37, 4, 32}, {4, 45, 8, 32}, {1, 1, 4, 32},
	} {
		x := normals(uint64(c.cols), c.rows*c.cols)
		for i := range min(32, c.cols) {
			x[i] = 0
		}
		m, err := Nearest(x, c.rows, c.cols, c.bits, c.group)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float32, len(x))
		m.Float32(want)

		files := map[string]stored{}
		parts := m.Pack()
		for i, info := range PackedInfos("m", c.rows, c.cols, c.bits, c.group) {
			files[info.Name] = stored{string(info.DType), info.Shape, parts[i]}
		}
		w, err := Open(quantized(c.bits, c.group), put(t, files))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, len(x))
		if err := w.ReadFloat32("m.weight", got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v: read %v, %v\nwant %v", c, got, err, want)
		}
		checkValues(t, w, "m.weight", want)
		if c.group != 32 {
			continue
		}
		device := kernel.NewWeight(m.format(), 1, c.rows, c.cols, make([]byte, kernel.WeightBytes(m.format(), 1, c.rows, c.cols)))
		for r := range c.rows {
			row := make([]float32, c.cols)
			device.SetRow(0, r, x[r*c.cols:(r+1)*c.cols])
			device.ReadRow(row, 0, r)
			if !slices.Equal(row, want[r*c.cols:(r+1)*c.cols]) {
				t.Errorf("%+v: a device rounds row %d to %v, want %v", c, r, row, want[r*c.cols:(r+1)*c.cols])
			}
		}
	}
}

// TestPackAsTheLibrary packs what the library packed, to the same bytes.
func TestPackAsTheLibrary(t *testing.T) {
	r, err := safetensors.Open("testdata/packed/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := func(name string) []byte {
		info, ok := r.Info(name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		b := make([]byte, info.Size())
		if err := r.ReadBytes(name, b, 0); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, module := range []string{"int4.group32", "int4.group64", "int8.group32"} {
		bits, group := int(module[3]-'0'), map[bool]int{true: 64, false: 32}[strings.HasSuffix(module, "64")]
		info, _ := r.Info(module + ".want")
		m := newInts(info.Shape[0], info.Shape[1], bits, group)
		if err := r.ReadFloat32(module+scaleSuffix, m.Scale); err != nil {
			t.Fatal(err)
		}
		x := make([]float32, info.Len())
		if err := r.ReadFloat32(module+".want", x); err != nil {
			t.Fatal(err)
		}
		for i, v := range x { // exactly one integer makes it
			m.Q[i] = int8(math.Round(float64(v / m.Scale[i/m.Cols*m.groups()+i%m.Cols/group])))
		}
		for i, part := range m.Pack() {
			want := PackedInfos(module, m.Rows, m.Cols, bits, group)[i]
			if got, _ := r.Info(want.Name); got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !slices.Equal(part, read(want.Name)) {
				t.Errorf("%s is %s %v in the library's file, %s %v in ours; or their bytes differ", want.Name, got.DType, got.Shape, want.DType, want.Shape)
			}
		}
	}
}

func TestNearestRefuses(t *testing.T) {
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		x := make([]float32, 3*40)
		x[2*40+35] = v
		if _, err := Nearest(x, 3, 40, 4, 32); err == nil || !strings.Contains(err.Error(), "row 2") {
			t.Errorf("%v: %v", v, err)
		}
	}
}

// TestErrorOnRealWeights: on every layer of the built-in model the error is less than that of the formats that everybody knows,
// llama.cpp's Q8_0 and Q4_0, which have as many bits.
func TestErrorOnRealWeights(t *testing.T) {
	r, err := safetensors.Open("../models/nano")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, bits := range []int{8, 4} {
		worst, ours, theirs := 0.0, 0.0, 0.0
		for _, name := range r.Names() {
			info, _ := r.Info(name)
			if len(info.Shape) != 2 || info.Shape[1]%32 != 0 {
				continue
			}
			x, y := make([]float32, info.Len()), make([]float32, info.Len())
			if err := r.ReadFloat32(name, x); err != nil {
				t.Fatal(err)
			}
			m, err := Nearest(x, info.Shape[0], info.Shape[1], bits, 32)
			if err != nil {
				t.Fatal(err)
			}
			m.Float32(y)
			our, their := squaredError(x, y), 0.0
			for i := 0; i < len(x); i += 32 {
				their += squaredError(x[i:i+32], familiar(x[i:i+32], bits))
			}
			ours, theirs, worst = ours+our, theirs+their, max(worst, our/their)
		}
		t.Logf("%d bits: %.3f of the squared error, at worst %.3f", bits, ours/theirs, worst)
		if worst >= 1 || !(theirs > 0) {
			t.Errorf("%d bits: %.3f times the squared error in one layer", bits, worst)
		}
	}
}

func squaredError(x, y []float32) float64 {
	sum := 0.0
	for i, v := range x {
		sum += math.Pow(float64(v)-float64(y[i]), 2)
	}
	return sum
}

// familiar rounds a group as Q8_0 does, d = amax/127 and q = round(x/d), or as Q4_0, d = the number of the largest magnitude / -8 and
// q = trunc(x/d + 8.5) up to 15, less 8; d is stored in half precision.
func familiar(x []float32, bits int) []float32 {
	largest := 0.0
	for _, v := range x {
		if math.Abs(float64(v)) > math.Abs(largest) {
			largest = float64(v)
		}
	}
	d := largest / -8
	if bits == 8 {
		d = math.Abs(largest) / 127
	}
	y := make([]float32, len(x))
	if d == 0 {
		return y
	}
	fraction, exponent := math.Frexp(d)
	half := math.Ldexp(math.RoundToEven(fraction*2048)/2048, exponent)
	for i, v := range x {
		q := math.Round(float64(v) / d)
		if bits == 4 {
			q = min(15, math.Trunc(float64(v)/d+8.5)) - 8
		}
		y[i] = float32(q * half)
	}
	return y
}
