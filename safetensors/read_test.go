package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// raw is a file with the given header and n bytes of data, all 1.
func raw(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), slices.Repeat([]byte{1}, n)...)
}

// entry is the header's line for one tensor.
func entry(name, dtype, shape string, begin, end int) string {
	return fmt.Sprintf(`"%s":{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, name, dtype, shape, begin, end)
}

// put writes files, name to content, into a new directory.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mustOpen(t *testing.T, path string) *Reader {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func mustRead(t *testing.T, r *Reader, name string) []float32 {
	t.Helper()
	info, ok := r.Info(name)
	if !ok {
		t.Fatalf("no tensor %q", name)
	}
	x := make([]float32, info.Len())
	if err := r.ReadFloat32(name, x); err != nil {
		t.Fatal(err)
	}
	return x
}

// same tells whether two numbers have the same bits or are both NaN.
func same(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// TestGolden reads a file that the Python library wrote, with the values that NumPy has (testdata/gen.py).
func TestGolden(t *testing.T) {
	r := mustOpen(t, "testdata/golden.safetensors")
	text, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]*uint32
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for name, bits := range want {
		got := mustRead(t, r, name)
		if len(got) != len(bits) {
			t.Fatalf("%s: %d elements, want %d", name, len(got), len(bits))
		}
		for i, b := range bits {
			if b == nil && got[i] == got[i] || b != nil && math.Float32bits(got[i]) != *b {
				t.Errorf("%s[%d] = %v (%#x)", name, i, got[i], math.Float32bits(got[i]))
			}
		}
	}
	ints := map[string][]int64{"i32": {1, -2, math.MaxInt32, math.MinInt32}, "i64": {1<<53 + 1, math.MinInt64}}
	for name, want := range ints {
		got := make([]int64, len(want))
		if err := r.ReadInts(name, got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s = %v, %v; want %v", name, got, err, want)
		}
	}
	if n := len(r.Names()); n != len(want)+len(ints)+1 || !slices.IsSorted(r.Names()) {
		t.Errorf("names %q", r.Names())
	}
	if info, _ := r.Info("i32"); !slices.Equal(info.Shape, []int{2, 2}) || info.DType != I32 {
		t.Errorf("i32 is %v", info)
	}
	if r.Metadata()["made by"] != "gen.py" {
		t.Errorf("metadata %v", r.Metadata())
	}
}

// oneLine fails unless err is one line of moderate length that has all the parts.
func oneLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one about %q", parts)
	}
	if s := err.Error(); strings.Contains(s, "\n") || len(s) > 1200 || !strings.HasPrefix(s, "safetensors: ") {
		t.Errorf("error is no line: %s", s)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// TestHostileFile: each file is refused with an error that says why, and nothing large is allocated on the way.
func TestHostileFile(t *testing.T) {
	a := entry("a", "F32", "[2]", 0, 8)
	length := func(n uint64, rest string) []byte { return append(binary.LittleEndian.AppendUint64(nil, n), rest...) }
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "0 bytes"},
		{"seven bytes", []byte("1234567"), "7 bytes"},
		{"no header", length(0, ""), "does not begin with {"},
		{"header over file", length(99, "{}"), "truncated"},
		{"header over limit", length(100_000_001, "{}"), "over the limit"},
		{"header of 2^64-1", length(math.MaxUint64, "{}"), "over the limit"},
		{"not JSON", raw("hello", 0), "does not begin with {"},
		{"space first", raw(" {}", 0), "does not begin with {"},
		{"half JSON", raw(`{"a":`, 0), "unexpected EOF"},
		{"array", raw(`[]`, 0), "does not begin with {"},
		{"two objects", raw(`{}{}`, 0), "more follows"},
		{"trailing comma", raw(`{`+a+`,}`, 8), "invalid character"},
		{"not UTF-8", raw("{\"\xff\":{}}", 0), "UTF-8"},
		{"nesting", raw(`{"a":`+strings.Repeat("[", 100000), 0), "where { should be"},
		{"nested shape", raw(`{"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}`, 8), "json.Number should be"},
		{"duplicate name", raw("{"+a+","+entry("a", "F32", "[2]", 8, 16)+"}", 16), `"a" appears twice`},
		{"duplicate escaped", raw("{"+a+","+entry(`\u0061`, "F32", "[2]", 8, 16)+"}", 16), `"a" appears twice`},
		{"duplicate field", raw(`{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 4), `"dtype" appears twice`},
		{"missing field", raw(`{"a":{"dtype":"F32","shape":[2]}}`, 8), "missing"},
		{"field in capitals", raw(`{"a":{"DType":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), `"DType" is no field`},
		{"unknown dtype", raw("{"+entry("a", "F31", "[2]", 0, 8)+"}", 8), `"a": dtype "F31" is unknown`},
		{"null dtype", raw(`{"a":{"dtype":null,"shape":[2],"data_offsets":[0,8]}}`, 8), "string should be"},
		{"negative dimension", raw("{"+entry("a", "F32", "[-2]", 0, 8)+"}", 8), `"-2" is not a whole number`},
		{"fractional dimension", raw("{"+entry("a", "F32", "[2.0]", 0, 8)+"}", 8), `"2.0" is not a whole number`},
		{"dimension 2e0", raw("{"+entry("a", "F32", "[2e0]", 0, 8)+"}", 8), `"2e0" is not a whole number`},
		{"dimension 2^64+2", raw("{"+entry("a", "F32", "[18446744073709551618]", 0, 8)+"}", 8), "not a whole number"},
		{"dimension as text", raw("{"+entry("a", "F32", `["2"]`, 0, 8)+"}", 8), "json.Number should be"},
		{"65 dimensions", raw("{"+entry("a", "F32", "[2"+strings.Repeat(",1", 64)+"]", 0, 8)+"}", 8), "more than 64"},
		{"product overflows to 8", raw("{"+entry("a", "F32", "[4611686018427387906,4]", 0, 8)+"}", 8), "does not make the 8 bytes"},
		{"product overflows to 0", raw("{"+entry("a", "F32", "[4294967296,4294967296]", 0, 0)+"}", 0), "does not make the 0 bytes"},
		{"shape too small", raw("{"+entry("a", "F32", "[1]", 0, 8)+"}", 8), "does not make the 8 bytes"},
		{"offsets reversed", raw("{"+entry("a", "F32", "[2]", 8, 0)+"}", 8), "out of order"},
		{"three offsets", raw(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}`, 8), "out of order"},
		{"beyond the file", raw("{"+entry("a", "F32", "[4]", 0, 16)+"}", 8), "truncated"},
		{"far beyond the file", raw("{"+entry("a", "U8", "[8]", math.MaxInt-8, math.MaxInt)+"}", 8), "truncated"},
		{"all of memory", raw("{"+entry("a", "U8", "[9223372036854775807]", 0, math.MaxInt)+"}", 8), "truncated"},
		{"overlap", raw("{"+a+","+entry("b", "F32", "[2]", 4, 12)+"}", 12), "no hole or overlap"},
		{"same bytes twice", raw("{"+a+","+entry("b", "F32", "[2]", 0, 8)+"}", 8), "no hole or overlap"},
		{"hole", raw("{"+a+","+entry("b", "F32", "[2]", 12, 20)+"}", 20), "no hole or overlap"},
		{"hole in front", raw("{"+entry("a", "F32", "[2]", 4, 12)+"}", 12), "no hole or overlap"},
		{"trailing bytes", raw("{"+a+"}", 9), "1 bytes of data belong to no tensor"},
		{"one byte short", raw("{"+a+"}", 7), "truncated"},
		{"metadata of numbers", raw(`{"__metadata__":{"step":1}}`, 0), "string should be"},
		{"metadata nested", raw(`{"__metadata__":{"a":{"b":"c"}}}`, 0), "string should be"},
		{"name of a megabyte", raw("{"+entry(strings.Repeat("n", 1<<20), "F31", "[2]", 0, 8)+"}", 8), "unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := put(t, map[string]string{"x.safetensors": string(tt.file)})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Open(dir)
			runtime.ReadMemStats(&after)
			oneLine(t, err, "x.safetensors", tt.want)
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<18+16*len(tt.file)); got > most {
				t.Errorf("Open allocated %d bytes for a file of %d", got, len(tt.file))
			}
		})
	}
}

// TestOddButSound: what the format allows is read.
func TestOddButSound(t *testing.T) {
	tests := []struct {
		name string
		file []byte
		n    int // tensors
	}{
		{"no tensors", raw("{}", 0), 0},
		{"padding", raw("{}      \n", 0), 0},
		{"out of order", raw("{"+entry("b", "F32", "[2]", 4, 12)+","+entry("a", "I32", "[]", 0, 4)+"}", 12), 2},
		{"empty tensors between", raw("{"+entry("z", "F32", "[0]", 4, 4)+","+entry("a", "F32", "[1]", 0, 4)+","+entry("b", "F32", "[1]", 4, 8)+","+
			entry("c", "F32", "[3,0]", 8, 8)+"}", 8), 4},
		{"every other type", raw("{"+entry("a", "BOOL", "[8]", 0, 8)+","+entry("b", "F64", "[1]", 8, 16)+","+entry("c", "U16", "[4]", 16, 24)+"}", 24), 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := mustOpen(t, put(t, map[string]string{"x.safetensors": string(tt.file)}))
			if len(r.Names()) != tt.n {
				t.Errorf("names %q, want %d", r.Names(), tt.n)
			}
		})
	}
}

// TestDirectory: what Open makes of a directory, and of an index that lies.
func TestDirectory(t *testing.T) {
	shard := func(name string) string { return string(raw("{"+entry(name, "F32", "[2]", 0, 8)+"}", 8)) }
	index := func(pairs string) string {
		return `{"metadata":{"total_size":16,"x":[{}]},"weight_map":{` + pairs + `}}`
	}
	tests := []struct {
		name  string
		files map[string]string
		want  string // of the error, or the names
	}{
		{"empty", nil, "holds no .safetensors file"},
		{"two files", map[string]string{"a.safetensors": shard("a"), "b.safetensors": shard("b")}, "2 other .safetensors files"},
		{"only file", map[string]string{"a.safetensors": shard("a"), "b.bin": ""}, "[a]"},
		{"single", map[string]string{singleName: shard("a"), "b.safetensors": shard("b")}, "[a]"},
		{"shards", map[string]string{indexName: index(`"a":"1.safetensors","b":"2.safetensors"`), "1.safetensors": shard("a"), "2.safetensors": shard("b")}, "[a b]"},
		{"index first", map[string]string{indexName: index(`"a":"1.safetensors"`), "1.safetensors": shard("a"), singleName: shard("b")}, "[a]"},
		{"missing shard", map[string]string{indexName: index(`"a":"1.safetensors"`)}, `shard "1.safetensors" is missing`},
		{"truncated shard", map[string]string{indexName: index(`"a":"1.safetensors"`), "1.safetensors": shard("a")[:60]}, "1.safetensors: header of"},
		{"shorter shard", map[string]string{indexName: index(`"a":"1.safetensors"`), "1.safetensors": shard("a")[:len(shard("a"))-1]}, "truncated"},
		{"tensor elsewhere", map[string]string{indexName: index(`"c":"1.safetensors"`), "1.safetensors": shard("a")}, `tensor "c" is not in it`},
		{"up", map[string]string{indexName: index(`"a":"../1.safetensors"`)}, "not the plain name"},
		{"absolute", map[string]string{indexName: index(`"a":"/etc/x.safetensors"`)}, "not the plain name"},
		{"Windows", map[string]string{indexName: index(`"a":"c:\\x.safetensors"`)}, "not the plain name"},
		{"other file", map[string]string{indexName: index(`"a":"config.json"`)}, "not the plain name"},
		{"number", map[string]string{indexName: index(`"a":1`)}, "string should be"},
		{"twice", map[string]string{indexName: index(`"a":"1.safetensors","a":"2.safetensors"`)}, "appears twice"},
		{"no map", map[string]string{indexName: `{"metadata":{}}`}, "names no tensors"},
		{"no JSON", map[string]string{indexName: `weights`}, "invalid character"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Open(put(t, tt.files))
			if err == nil {
				defer r.Close()
				if got := fmt.Sprint(r.Names()); got != tt.want {
					t.Errorf("names %s, want %s", got, tt.want)
				}
				return
			}
			oneLine(t, err, tt.want)
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "gone")); err == nil {
		t.Error("a path to nothing opens")
	}
}

// TestScaleInAnotherShard reads a matrix of 130 x 2 whose scales, 2 x 1, lie in another file.
func TestScaleInAnotherShard(t *testing.T) {
	q := raw("{"+entry("x.weight", "F8_E4M3", "[130,2]", 0, 260)+"}", 260) // every code is 1: 2^-9
	s := raw("{"+entry("x.weight_scale_inv", "F32", "[2,1]", 0, 8)+"}", 0)
	for _, v := range []float32{512, 1024} {
		s = binary.LittleEndian.AppendUint32(s, math.Float32bits(v))
	}
	dir := put(t, map[string]string{
		indexName:       `{"weight_map":{"x.weight":"1.safetensors","x.weight_scale_inv":"2.safetensors"}}`,
		"1.safetensors": string(q), "2.safetensors": string(s),
	})
	for i, v := range mustRead(t, mustOpen(t, dir), "x.weight") {
		if want := float32(1 + i/256); v != want {
			t.Fatalf("element %d is %v, want %v", i, v, want)
		}
	}
	_, err := Open(filepath.Join(dir, "1.safetensors"))
	oneLine(t, err, `tensor "x.weight"`, "scale_inv", "missing", "whole directory")
}

func TestScalesMustFit(t *testing.T) {
	weight := entry("x.weight", "F8_E4M3", "[130,2]", 0, 260)
	tests := []struct{ name, header, want string }{
		{"shape", weight + "," + entry("x.weight_scale_inv", "F32", "[1,1]", 260, 264), "shape [2 1]"},
		{"flat", weight + "," + entry("x.weight_scale_inv", "F32", "[2]", 260, 268), "shape [2 1]"},
		{"dtype", weight + "," + entry("x.weight_scale_inv", "BF16", "[2,1]", 260, 264), "not F32"},
		{"vector", entry("x.weight", "F8_E4M3", "[264]", 0, 264), "1 dimensions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 264
			if tt.name == "flat" {
				n = 268
			}
			_, err := Open(put(t, map[string]string{singleName: string(raw("{"+tt.header+"}", n))}))
			oneLine(t, err, `tensor "x.weight"`, tt.want)
		})
	}
}

func TestReadErrors(t *testing.T) {
	dir := put(t, map[string]string{singleName: string(raw("{"+entry("a", "F32", "[2]", 0, 8)+","+entry("b", "I64", "[1]", 8, 16)+"}", 16))})
	r := mustOpen(t, dir)
	oneLine(t, r.ReadFloat32("c", nil), `no tensor "c"`)
	oneLine(t, r.ReadFloat32("a", make([]float32, 3)), `tensor "a"`, "shape [2]", "3 are wanted")
	oneLine(t, r.ReadFloat32("b", make([]float32, 1)), `tensor "b"`, "holds I64")
	oneLine(t, r.ReadInts("a", make([]int64, 2)), `tensor "a"`, "holds F32")
	if err := os.Truncate(filepath.Join(dir, singleName), 100); err != nil {
		t.Fatal(err)
	}
	oneLine(t, r.ReadInts("b", make([]int64, 1)), `tensor "b"`, "unexpected EOF")
}
