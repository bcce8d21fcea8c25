package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// weights makes a few tensors of all types; two seeds make different ones.
func weights(seed uint64) []Tensor {
	rng := rand.New(rand.NewPCG(seed, 1))
	list := []Tensor{
		{Name: "odd", Shape: []int{3}, DType: BF16},
		{Name: "matrix", Shape: []int{5, 7}, DType: F32},
		{Name: "<half> \"é\"\n", Shape: []int{1, 2, 3}, DType: F16},
		{Name: "fp8.weight", Shape: []int{130, 129}, DType: F8_E4M3},
		{Name: "scalar", DType: F32},
		{Name: "empty", Shape: []int{4, 0}, DType: F32},
		{Name: "large", Shape: []int{3, chunk/4 - 5}, DType: F32}, // more than a chunk, and no multiple of one
	}
	for i := range list {
		n := 1
		for _, d := range list[i].Shape {
			n *= d
		}
		list[i].Data = make([]float32, n)
		for j := range list[i].Data {
			list[i].Data[j] = float32(rng.NormFloat64())
		}
	}
	return list
}

// checkHolds fails unless r holds exactly what writing tensors should have stored.
func checkHolds(t *testing.T, r *Reader, tensors []Tensor) {
	t.Helper()
	names := len(tensors)
	for _, want := range tensors {
		info, ok := r.Info(want.Name)
		if !ok || info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
			t.Fatalf("%q is %v, want %s %v", want.Name, info, want.DType, want.Shape)
		}
		if info.DType == F8_E4M3 {
			names++
		}
		for i, got := range mustRead(t, r, want.Name) {
			// Relative error of rounding: half a unit in the last place of 23, 7 and 10 bits. For E4M3 half a step is 1/16 of
			// the value or 2^-10 of the scale, which is at most 6/448 for these numbers.
			tolerance := map[DType]float64{F32: 0, BF16: 0x1p-8, F16: 0x1p-11, F8_E4M3: 0x1p-4}[info.DType] * math.Abs(float64(want.Data[i]))
			switch info.DType {
			case F16:
				tolerance += 0x1p-25
			case F8_E4M3:
				tolerance += 0x1p-10 * 6 / 448
			}
			if math.Abs(float64(got-want.Data[i])) > tolerance {
				t.Fatalf("%q[%d] is %v, want %v", want.Name, i, got, want.Data[i])
			}
		}
	}
	if len(r.Names()) != names {
		t.Fatalf("names %q, want %d", r.Names(), names)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	want := weights(1)
	if err := Write(path, want, map[string]string{"step": "7"}); err != nil {
		t.Fatal(err)
	}
	r := mustOpen(t, path)
	checkHolds(t, r, want)
	if m := r.Metadata(); m["format"] != "pt" || m["step"] != "7" {
		t.Errorf("metadata %v", m)
	}
	for _, name := range r.Names() {
		if info, _ := r.Info(name); info.off%info.DType.size() != 0 {
			t.Errorf("%q lies at byte %d, unaligned for %s", name, info.off, info.DType)
		}
	}
	first, _ := os.ReadFile(path)
	if err := Write(path, want, map[string]string{"step": "7"}); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(path); string(first) != string(second) {
		t.Error("the same tensors make two different files")
	}
}

func TestWriteRefuses(t *testing.T) {
	x := []float32{1, 2}
	tests := []struct {
		name    string
		tensors []Tensor
		want    string
	}{
		{"shape", []Tensor{{"a", []int{3}, x, F32}}, "shape [3] does not fit 2 elements"},
		{"negative", []Tensor{{"a", []int{-1, -2}, x, F32}}, "does not fit"},
		{"overflow", []Tensor{{"a", []int{math.MaxInt, 8}, nil, F32}}, "does not fit"},
		{"dtype", []Tensor{{"a", []int{2}, x, I64}}, `dtype "I64" is not written`},
		{"no dtype", []Tensor{{"a", []int{2}, x, ""}}, `dtype "" is not written`},
		{"vector in blocks", []Tensor{{"a", []int{2}, x, F8_E4M3}}, "only a matrix"},
		{"UTF-8", []Tensor{{"\xff", []int{2}, x, F32}}, "not UTF-8"},
		{"twice", []Tensor{{"a", []int{2}, x, F32}, {"a", []int{2}, x, BF16}}, "the name is taken"},
		{"scales twice", []Tensor{{"a", []int{1, 2}, x, F8_E4M3}, {"a_scale_inv", []int{2}, x, F32}}, "the name is taken"},
		{"metadata", []Tensor{{metadataKey, []int{2}, x, F32}}, "the name is taken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			oneLine(t, Write(filepath.Join(dir, "a"), tt.tensors, nil), "tensor ", tt.want)
			oneLine(t, WriteDir(dir, tt.tensors, 1), "tensor ", tt.want)
			if got := list(t, dir); len(got) > 0 {
				t.Errorf("left %q", got)
			}
		})
	}
	oneLine(t, Write(filepath.Join(t.TempDir(), "no", "a"), nil, nil), "no such file")
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestWriteDirReplaces saves into one directory again and again, single and in shards: only the last save remains, with the
// plain names wherever they are free.
func TestWriteDirReplaces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "model")
	sharded := func(stem string) []string {
		var names []string
		for i := range 4 {
			names = append(names, fmt.Sprintf("%s-0000%d-of-00004.safetensors", stem, i+1))
		}
		return append(names, indexName)
	}
	steps := []struct {
		limit int64
		want  []string
	}{
		{1 << 30, []string{singleName}},
		{1 << 30, []string{singleName}},
		{1 << 14, sharded("model")},
		{1 << 14, sharded("model-r2")},
		{1 << 14, sharded("model")},
		{1 << 30, []string{singleName}},
	}
	for i, step := range steps {
		tensors := weights(uint64(i))
		if err := WriteDir(dir, tensors, step.limit); err != nil {
			t.Fatal(err)
		}
		checkHolds(t, mustOpen(t, dir), tensors)
		if got := list(t, dir); !slices.Equal(got, step.want) {
			t.Errorf("save %d left %q, want %q", i, got, step.want)
		}
	}
}

// TestWriteDirKeepsOthers: files that are not part of a save stay, remains of a save that was cut off go.
func TestWriteDirKeepsOthers(t *testing.T) {
	others := []string{"config.json", "model.txt", "adapter.safetensors", "mymodel-00001-of-00002.safetensors", "model-00001-of-00002.safetensors.bak"}
	remains := []string{"model-r7-00001-of-00002.safetensors", "model.safetensors.tmp123", "model-00002-of-00004.safetensors.tmp9", indexName + ".tmp1"}
	files := map[string]string{}
	for _, name := range append(slices.Clone(others), remains...) {
		files[name] = "x"
	}
	dir := put(t, files)
	if err := WriteDir(dir, weights(1), 1<<30); err != nil {
		t.Fatal(err)
	}
	want := append(others, singleName)
	slices.Sort(want)
	if got := list(t, dir); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	if err := WriteDir(dir, weights(1), 1<<14); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Metadata  map[string]int64  `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	total := int64(2*3 + 4*35 + 2*6 + 130*129 + 4*2*2 + 4 + 4*3*(chunk/4-5))
	if index.Metadata["total_size"] != total || index.WeightMap["fp8.weight"] != index.WeightMap["fp8.weight_scale_inv"] {
		t.Errorf("index %s; want total_size %d", text, total)
	}
}

// fullDisk is a disk with room for left bytes. It does not wait for them to be safe.
type fullDisk struct{ left int }

type fullFile struct {
	*os.File
	disk *fullDisk
}

func (d *fullDisk) createTemp(dir, pattern string) (tempFile, error) {
	f, err := os.CreateTemp(dir, pattern)
	return fullFile{f, d}, err
}

func (f fullFile) Write(b []byte) (int, error) {
	n := min(len(b), f.disk.left)
	f.disk.left -= n
	if n, err := f.File.Write(b[:n]); n < len(b) || err != nil {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (fullFile) Sync() error { return nil }

// TestFullDisk: a save that runs out of room at any point leaves the earlier one as it was, and nothing else.
func TestFullDisk(t *testing.T) {
	small := weights(2)[:6] // without the large one, so that many points can be tried
	for _, limits := range [][2]int64{{1 << 30, 1 << 30}, {1 << 14, 1 << 14}, {1 << 30, 1 << 14}, {1 << 14, 1 << 30}} {
		t.Run(fmt.Sprintf("%d then %d", limits[0], limits[1]), func(t *testing.T) {
			dir := t.TempDir()
			old := weights(1)
			if err := WriteDir(dir, old, limits[0]); err != nil {
				t.Fatal(err)
			}
			before, room := list(t, dir), 0
			for ; room < 1<<20; room += 211 {
				err := writeDir((&fullDisk{left: room}).createTemp, dir, small, limits[1])
				if err == nil {
					break
				}
				oneLine(t, err, dir, "no space left", "unchanged")
				if got := list(t, dir); !slices.Equal(got, before) {
					t.Fatalf("with room for %d bytes: left %q, want %q", room, got, before)
				}
				if room%20 == 0 {
					checkHolds(t, mustOpen(t, dir), old)
				}
			}
			if room < 130*129 {
				t.Fatalf("%d bytes were enough", room)
			}
			checkHolds(t, mustOpen(t, dir), small)
		})
	}
}

// TestCutOff: whenever a save begins another file, the directory still reads as the earlier save; a crash there loses nothing.
func TestCutOff(t *testing.T) {
	for _, limits := range [][2]int64{{1 << 30, 1 << 14}, {1 << 14, 1 << 14}, {1 << 14, 1 << 30}} {
		dir, old := t.TempDir(), weights(1)
		if err := WriteDir(dir, old, limits[0]); err != nil {
			t.Fatal(err)
		}
		files := 0
		create := func(dir, pattern string) (tempFile, error) {
			files++
			checkHolds(t, mustOpen(t, dir), old)
			return osCreateTemp(dir, pattern)
		}
		if err := writeDir(create, dir, weights(2), limits[1]); err != nil || files == 0 {
			t.Fatalf("%d files, %v", files, err)
		}
		checkHolds(t, mustOpen(t, dir), weights(2))
	}
}

// syncedFile notes whether all that was written had been sent to the disk when the file was closed.
type syncedFile struct {
	*os.File
	dirty, closed *bool
}

func (f syncedFile) Write(b []byte) (int, error) {
	*f.dirty = true
	return f.File.Write(b)
}

func (f syncedFile) Sync() error {
	*f.dirty = false
	return f.File.Sync()
}

func (f syncedFile) Close() error {
	*f.closed = true
	return f.File.Close()
}

// TestSyncedBeforeNamed: a file that has its name is on the disk, or a crash could leave the name and lose the content.
func TestSyncedBeforeNamed(t *testing.T) {
	var files []syncedFile
	create := func(dir, pattern string) (tempFile, error) {
		f, err := os.CreateTemp(dir, pattern)
		files = append(files, syncedFile{f, new(bool), new(bool)})
		return files[len(files)-1], err
	}
	if err := writeDir(create, t.TempDir(), weights(1), 1<<14); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if *f.dirty || !*f.closed {
			t.Errorf("%s: closed %t, with something yet to be synced %t", f.Name(), *f.closed, *f.dirty)
		}
	}
	if len(files) != 5 {
		t.Errorf("%d files, want four shards and the index", len(files))
	}
}

// TestNonFinite: what is no number survives in the types that can say so.
func TestNonFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	x := []float32{inf, -inf, math.Float32frombits(0x7F800001), math.Float32frombits(0xFFFFFFFF), float32(math.Copysign(0, -1))}
	for _, dtype := range []DType{F32, BF16, F16} {
		path := filepath.Join(t.TempDir(), "a.safetensors")
		if err := Write(path, []Tensor{{"x", []int{len(x)}, x, dtype}}, nil); err != nil {
			t.Fatal(err)
		}
		for i, v := range mustRead(t, mustOpen(t, path), "x") {
			if !same(v, x[i]) {
				t.Errorf("%s: %v came back as %v", dtype, x[i], v)
			}
		}
	}
}

// FuzzHeader: whatever opens can be read to the end, and what was read can be written and reads the same.
func FuzzHeader(f *testing.F) {
	golden, err := os.ReadFile("testdata/golden.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	data := 8 + binary.LittleEndian.Uint64(golden)
	f.Add(string(golden[8:data]), golden[data:])
	f.Add("{"+entry("a", "F32", "[2]", 0, 8)+","+entry("b", "BF16", "[2,0]", 8, 8)+"}", make([]byte, 8))
	f.Add("{"+entry("w", "F8_E4M3", "[2,2]", 0, 4)+","+entry("w_scale_inv", "F32", "[1,1]", 4, 8)+"}", []byte("12345678"))
	f.Add(`{"__metadata__":{"a":"b"},`+entry("", "F16", "[1]", 0, 2)+"}  ", []byte{1, 2})
	f.Fuzz(func(t *testing.T, header string, data []byte) {
		dir := put(t, map[string]string{singleName: string(raw(header, 0)) + string(data)})
		r, err := Open(dir)
		if err != nil {
			oneLine(t, err, singleName)
			return
		}
		defer r.Close()
		var tensors []Tensor
		for _, name := range r.Names() {
			info, _ := r.Info(name)
			switch info.DType {
			case I32, I64:
				if err := r.ReadInts(name, make([]int64, info.Len())); err != nil {
					t.Fatal(err)
				}
			case F32, BF16, F16, F8_E4M3:
				dtype := info.DType
				if dtype == F8_E4M3 {
					dtype = F32 // whatever the scales are, exactly
				}
				tensors = append(tensors, Tensor{name, info.Shape, mustRead(t, r, name), dtype})
			}
		}
		copied := filepath.Join(dir, "copy.safetensors")
		if err := writeFile((&fullDisk{left: 1 << 30}).createTemp, copied, tensors, r.Metadata()); err != nil {
			t.Fatal(err)
		}
		again := mustOpen(t, copied)
		for _, want := range tensors {
			info, _ := again.Info(want.Name)
			if info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
				t.Fatalf("%q was %s %v, is %v", want.Name, want.DType, want.Shape, info)
			}
			if !slices.EqualFunc(mustRead(t, again, want.Name), want.Data, same) {
				t.Fatalf("%q changed", want.Name)
			}
		}
	})
}

func ExampleWriteDir() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	tensors := []Tensor{{Name: "model.norm.weight", Shape: []int{3}, Data: []float32{1, 2, 3.1}, DType: BF16}}
	if err := WriteDir(dir, tensors, 5<<30); err != nil {
		panic(err)
	}
	r, err := Open(dir)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	x := make([]float32, 3)
	if err := r.ReadFloat32("model.norm.weight", x); err != nil {
		panic(err)
	}
	fmt.Println(strings.Join(r.Names(), " "), x)
	// Output: model.norm.weight [1 2 3.09375]
}
