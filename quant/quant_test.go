package quant

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/config"
	"sprat/device"
	"sprat/device/cpu"
	"sprat/float8"
	"sprat/safetensors"
	"sprat/tensor"
)

// stored is a tensor of a file that a test writes itself.
type stored struct {
	dtype string
	shape []int
	data  []byte
}

// put writes a file and opens it.
func put(t testing.TB, tensors map[string]stored) *safetensors.Reader {
	t.Helper()
	header, data := map[string]any{}, []byte{}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		x := tensors[name]
		header[name] = map[string]any{"dtype": x.dtype, "shape": x.shape, "data_offsets": []int{len(data), len(data) + len(x.data)}}
		data = append(data, x.data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	if err := os.WriteFile(path, append(file, data...), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func i64(shape ...int64) stored {
	s := stored{"I64", []int{len(shape)}, nil}
	for _, n := range shape {
		s.data = binary.LittleEndian.AppendUint64(s.data, uint64(n))
	}
	return s
}

func f32(shape []int, x ...float32) stored {
	s := stored{"F32", shape, nil}
	for _, v := range x {
		s.data = binary.LittleEndian.AppendUint32(s.data, math.Float32bits(v))
	}
	return s
}

// i32 are words, all 0.
func i32(shape ...int) stored {
	return stored{"I32", shape, make([]byte, 4*shape[0]*shape[1])}
}

// quantized is a config whose layers are all packed.
func quantized(bits, group int) *config.Config {
	p := config.Packing{NumBits: bits, Type: "int", Symmetric: true, Strategy: "group", GroupSize: group}
	if group == 0 {
		p.Strategy = "channel"
	}
	return &config.Config{QuantizationConfig: &config.QuantizationConfig{
		QuantMethod: "compressed-tensors", Format: "pack-quantized", Status: "compressed", Ignore: []string{"lm_head"},
		ConfigGroups: map[string]config.ConfigGroup{"group_0": {Targets: []string{"Linear"}, Weights: p}},
	}}
}

// TestGolden reads what the library packed, and compares with what the library reads.
func TestGolden(t *testing.T) {
	quantization, err := os.ReadFile("testdata/packed/quantization_config.json")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(fmt.Appendf(nil, `{"model_type": "deepseek_v3", "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 1, "n_routed_experts": null,
		"intermediate_size": 24, "num_attention_heads": 4, "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4,
		"quantization_config": %s}`, quantization))
	if err != nil {
		t.Fatal(err)
	}
	r, err := safetensors.Open("testdata/packed/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := Open(cfg, r)
	if err != nil {
		t.Fatal(err)
	}
	packed := 0
	for _, name := range w.Names() {
		module, ok := strings.CutSuffix(name, ".weight")
		if !ok {
			continue
		}
		packed++
		info, _ := w.Info(name)
		got, want := make([]float32, info.Len()), make([]float32, info.Len())
		if err := w.ReadFloat32(name, got); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadFloat32(module+".want", want); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", name, got, want)
		}
		checkValues(t, w, name, got)
	}
	if packed != 5 {
		t.Errorf("%d packed weights among %v, want 5", packed, w.Names())
	}
}

// values reads into space that held something else.
func values(w *Weights, name string) (device.Values, error) {
	v := device.Values{F32: []float32{1}, Int: []int8{1, 2}, E4M3: []byte{7}, Scale: []float32{3, 4, 5}}
	err := w.Values(name, &v)
	return v, err
}

// checkValues compares Values with the numbers of ReadFloat32, which differ where scales are rounded.
func checkValues(t *testing.T, w *Weights, name string, want []float32) {
	t.Helper()
	v, err := values(w, name)
	if err != nil {
		t.Fatal(err)
	}
	groups := (v.Cols + device.GroupSize - 1) / device.GroupSize
	if v.F32 != nil || v.E4M3 != nil || len(v.Int) != v.Rows*v.Cols || len(v.Scale) != v.Rows*groups {
		t.Fatalf("%s: %d integers and %d scales for %d x %d", name, len(v.Int), len(v.Scale), v.Rows, v.Cols)
	}
	for i, q := range v.Int {
		s := v.Scale[i/v.Cols*groups+i%v.Cols/device.GroupSize]
		if math.Float32bits(s)<<16 != 0 {
			t.Fatalf("%s: the scale %g is not a bfloat16", name, s)
		}
		if got := float32(q) * s; math.Abs(float64(got-want[i])) > math.Abs(float64(want[i]))/256 || w.packed[name].bf16 && got != want[i] {
			t.Fatalf("%s: number %d is %g, want %g", name, i, got, want[i])
		}
	}
}

func TestFloatsAndE4M3(t *testing.T) {
	const rows, cols = 130, 129
	x, codes, scale := make([]float32, rows*cols), make([]byte, rows*cols), make([]float32, 4)
	for i := range x {
		x[i] = float32(i%7) - 3
	}
	float8.QuantizeBlocks(codes, scale, x, rows, cols, false)
	r := put(t, map[string]stored{
		"norm.weight":           f32([]int{3}, 1, 2, 3),
		"gate.weight":           f32([]int{2, 2}, 1, 2, 3, 4),
		"x.weight":              {"F8_E4M3", []int{rows, cols}, codes},
		"x.weight_scale_inv":    f32([]int{2, 2}, scale...),
		"nan.weight":            {"F8_E4M3", []int{1, 1}, []byte{1}},
		"nan.weight_scale_inv":  f32([]int{1, 1}, float32(math.Inf(-1))),
		"deep.weight":           f32([]int{1, 1, 1}, 1),
		"half.weight":           {"BF16", []int{1, 2}, []byte{0x80, 0x3f, 0, 0x40}},
		"other.weight_scale":    f32([]int{1}, 1), // what belongs to nothing is a tensor like others
		"other.weight_g_idx":    i64(1),
		"strange.weight_packed": i32(1, 4), "strange.weight_scale": f32([]int{1, 1}, 1), "strange.weight_shape": i64(1, 32),
	})
	w, err := Open(quantized(4, 32), r)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]device.Values{
		"norm.weight": {Rows: 1, Cols: 3, F32: []float32{1, 2, 3}},
		"gate.weight": {Rows: 2, Cols: 2, F32: []float32{1, 2, 3, 4}},
		"half.weight": {Rows: 1, Cols: 2, F32: []float32{1, 2}},
		"x.weight":    {Rows: rows, Cols: cols, E4M3: codes, Scale: scale},
	} {
		if v, err := values(w, name); err != nil || fmt.Sprint(v) != fmt.Sprint(want) {
			t.Errorf("%s: %.99v, %v", name, v, err)
		}
	}
	for name, want := range map[string]device.Format{
		"norm.weight": device.FormatF32, "half.weight": device.FormatBF16, "x.weight": device.FormatFP8, "strange.weight": device.FormatInt4,
	} {
		if f := w.Format(name); f != want {
			t.Errorf("%s has format %d, want %d", name, f, want)
		}
	}
	for _, name := range []string{"nan.weight", "deep.weight", "missing.weight"} {
		if _, err := values(w, name); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if i := slices.Index(w.Names(), "strange.weight"); i < 0 || slices.Contains(w.Names(), "strange.weight_packed") {
		t.Errorf("names are %v", w.Names())
	}
	if n := w.Stored("strange.weight"); n != 4*4+4+2*8 {
		t.Errorf("strange.weight takes %d bytes", n)
	}
}

// TestUnpack compares with the definition, for rows that end anywhere.
func TestUnpack(t *testing.T) {
	words := make([]byte, 64)
	for i := range words {
		words[i] = byte(37*i + 11)
	}
	for _, bits := range []int{4, 8} {
		for n := range 8 * len(words) / bits {
			got := make([]int8, n)
			unpack(got, words, bits)
			for i, q := range got {
				if want := int(words[i*bits/8]>>(i*bits%8)&(1<<bits-1)) - 1<<(bits-1); int(q) != want {
					t.Fatalf("%d bits, %d of %d: %d, want %d", bits, i, n, q, want)
				}
			}
		}
	}
}

// TestLeastInteger: other programs use -128, which Nearest does not, and devices keep it.
func TestLeastInteger(t *testing.T) {
	words := i32(1, 8) // 0 is stored for the least integer
	r := put(t, map[string]stored{"m.weight_packed": words, "m.weight_scale": f32([]int{1, 1}, 2), "m.weight_shape": i64(1, 32)})
	w, err := Open(quantized(8, 32), r)
	if err != nil {
		t.Fatal(err)
	}
	dev := cpu.New(1)
	defer dev.Close()
	v, err := values(w, "m.weight")
	if err != nil {
		t.Fatal(err)
	}
	weight, got := dev.NewWeight(1, 1, 32, device.FormatInt8), make([]float32, 32)
	dev.FillWeight(weight, 0, 0, v)
	dev.ReadWeight(got, weight, 0, 0, 1)
	x, y := dev.Alloc(1, 32, tensor.F32), dev.Alloc(1, 1, tensor.F32)
	dev.Upload(x, slices.Repeat([]float32{127}, 32))
	dev.Project(y, x, weight, false)
	if got[31] != -256 || y.Host()[0] != -256*127*32 {
		t.Errorf("-128 times 2 is %v, and the product %v", got[31], y.Host()[0])
	}
}

func TestScalesMustBeNumbers(t *testing.T) {
	for value, ok := range map[float32]bool{
		0: true, -2: true, 0x1p-140: true, float32(math.NaN()): false, float32(math.Inf(1)): false, float32(math.Inf(-1)): false,
	} {
		r := put(t, map[string]stored{"m.weight_packed": i32(1, 8), "m.weight_scale": f32([]int{1, 2}, 1, value), "m.weight_shape": i64(1, 64)})
		w, err := Open(quantized(4, 32), r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = values(w, "m.weight")
		if (err == nil) != ok || (w.ReadFloat32("m.weight", make([]float32, 64)) == nil) != ok {
			t.Errorf("a scale of %g: %v", value, err)
		}
	}
	r := put(t, map[string]stored{"m.weight_packed": i32(1, 4), "m.weight_scale": f32([]int{1, 1}, math.MaxFloat32), "m.weight_shape": i64(1, 32)})
	w, err := Open(quantized(4, 32), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := values(w, "m.weight"); err == nil {
		t.Error("a scale that rounds to infinity is accepted")
	}
}

func TestHostile(t *testing.T) {
	sound := func() map[string]stored {
		return map[string]stored{"m.weight_packed": i32(2, 8), "m.weight_scale": f32([]int{2, 2}, 1, 1, 1, 1), "m.weight_shape": i64(2, 64)}
	}
	if _, err := Open(quantized(4, 32), put(t, sound())); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		cfg    *config.Config
		change func(m map[string]stored)
		want   string
	}{
		"no scale":         {nil, func(m map[string]stored) { delete(m, "m.weight_scale") }, "weight_scale\" is missing"},
		"no shape":         {nil, func(m map[string]stored) { delete(m, "m.weight_shape") }, "weight_shape\" is missing"},
		"more columns":     {nil, func(m map[string]stored) { m["m.weight_shape"] = i64(2, 65) }, "weight_packed\" is I32 of shape [2 8]"},
		"fewer rows":       {nil, func(m map[string]stored) { m["m.weight_shape"] = i64(1, 64) }, "want [I32] of shape [1 8]"},
		"a negative shape": {nil, func(m map[string]stored) { m["m.weight_shape"] = i64(-2, 64) }, "above 0"},
		"an empty shape":   {nil, func(m map[string]stored) { m["m.weight_shape"] = i64(0, 64) }, "above 0"},
		"a huge shape":     {nil, func(m map[string]stored) { m["m.weight_shape"] = i64(1<<40, 1<<40) }, "above 0"},
		"an overflow":      {nil, func(m map[string]stored) { m["m.weight_shape"] = i64(math.MaxInt32, math.MaxInt32) }, "weight_packed"},
		"three dimensions": {nil, func(m map[string]stored) { m["m.weight_shape"] = i64(2, 64, 1) }, "weight_shape"},
		"a float shape":    {nil, func(m map[string]stored) { m["m.weight_shape"] = f32([]int{2}, 2, 64) }, "weight_shape"},
		"float integers":   {nil, func(m map[string]stored) { m["m.weight_packed"] = f32([]int{2, 8}, make([]float32, 16)...) }, "want [I32]"},
		"integer scales":   {nil, func(m map[string]stored) { m["m.weight_scale"] = i32(2, 2) }, "weight_scale"},
		"one scale a row":  {nil, func(m map[string]stored) { m["m.weight_scale"] = f32([]int{2, 1}, 1, 1) }, "weight_scale"},
		"a weight beside":  {nil, func(m map[string]stored) { m["m.weight"] = f32([]int{1}, 1) }, "m.weight"},
		"zero points":      {nil, func(m map[string]stored) { m["m.weight_zero_point"] = i32(2, 2) }, "zero_point"},
		"an order":         {nil, func(m map[string]stored) { m["m.weight_g_idx"] = i64(0) }, "g_idx"},
		"no config":        {&config.Config{}, func(map[string]stored) {}, "no group"},
		"other bits":       {quantized(8, 32), func(map[string]stored) {}, "weight_packed"},
		"other groups":     {quantized(4, 64), func(map[string]stored) {}, "weight_scale"},
		"rows":             {quantized(4, 0), func(map[string]stored) {}, "weight_scale"},
		"an ignored one": {nil, func(m map[string]stored) {
			for name, x := range maps.Clone(m) {
				m[strings.Replace(name, "m.", "lm_head.", 1)] = x
			}
		}, "lm_head"},
	} {
		m, cfg := sound(), c.cfg
		c.change(m)
		if cfg == nil {
			cfg = quantized(4, 32)
		}
		if _, err := Open(cfg, put(t, m)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
}

// FuzzOpen: whatever three tensors hold, they are refused in one line or can be read.
func FuzzOpen(f *testing.F) {
	f.Add(uint8(4), uint8(1), int64(2), int64(64), uint8(2), uint8(8), uint8(2), []byte{1, 2, 3})
	f.Add(uint8(8), uint8(0), int64(3), int64(5), uint8(3), uint8(2), uint8(1), []byte{0x80, 0x7f})
	f.Fuzz(func(t *testing.T, bits, group uint8, rows, cols int64, packedRows, packedCols, scales uint8, data []byte) {
		fill := func(s stored, size int) stored {
			s.data = make([]byte, size)
			for i := range s.data {
				if len(data) > 0 {
					s.data[i] = data[i%len(data)]
				}
			}
			return s
		}
		n, k, g := int(packedRows), int(packedCols), int(scales)
		r := put(t, map[string]stored{
			"m.weight_packed": fill(stored{dtype: "I32", shape: []int{n, k}}, 4*n*k),
			"m.weight_scale":  fill(stored{dtype: "BF16", shape: []int{n, g}}, 2*n*g),
			"m.weight_shape":  i64(rows, cols),
		})
		w, err := Open(quantized(4+int(bits%2)*4, int(group%8)*32), r)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		info, _ := w.Info("m.weight")
		x := make([]float32, info.Len())
		readErr := w.ReadFloat32("m.weight", x)
		v, err := values(w, "m.weight")
		if (readErr == nil) != (err == nil) {
			t.Fatalf("ReadFloat32 says %v, Values %v", readErr, err)
		}
		if err != nil {
			return
		}
		for i, q := range v.Int {
			if got := float32(q) * v.Scale[i/v.Cols*((v.Cols+31)/32)+i%v.Cols/32]; got != x[i] {
				t.Fatalf("number %d is %g and %g", i, got, x[i])
			}
		}
	})
}
