package safetensors

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"sprat/atomicfile"
	"sprat/float8"
)

// A Tensor is one to write.
type Tensor struct {
	Name  string
	Shape []int // outermost dimension first
	Data  []float32
	DType DType // how to store it: F32, BF16, F16 or F8_E4M3; for the last, a matrix, its scales are written beside it
}

// Write writes tensors and metadata to a file at path, replacing what is there once all of it is on disk. The metadata gets
// "format": "pt", which readers ask for, unless it says otherwise. Beside tensors it needs little memory, whatever their size.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	if err := writeFile(osCreateTemp, path, tensors, metadata); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// createTemp makes a file that has not got its name yet, as os.CreateTemp does. Tests pass one on a disk that fills up.
type createTemp func(dir, pattern string) (tempFile, error)

type tempFile interface {
	io.WriteCloser
	Name() string
	Sync() error
}

func osCreateTemp(dir, pattern string) (tempFile, error) { return os.CreateTemp(dir, pattern) }

// writeFile writes one file and gives it its name; the directory is yet to be synced.
func writeFile(create createTemp, path string, tensors []Tensor, metadata map[string]string) error {
	parts, err := plan(tensors)
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", path, err)
	}
	head, err := header(parts, metadata)
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return replaceFile(create, path, func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		for _, p := range parts {
			if err := p.write(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// replaceFile puts what write writes at path: into a new file beside it, to the disk, and only then under its name.
func replaceFile(create createTemp, path string, write func(w io.Writer) error) error {
	f, err := create(filepath.Dir(path), filepath.Base(path)+".tmp*")
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", path, err)
	}
	w := bufio.NewWriterSize(f, chunk)
	if err = write(w); err == nil {
		err = cmp.Or(w.Flush(), f.Sync())
	}
	if err = cmp.Or(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("safetensors: %s: not written, and what was there is unchanged: %w", path, err)
	}
	return nil
}

// syncDir makes renames and removals in dir durable.
func syncDir(dir string) error {
	if err := atomicfile.SyncDir(dir); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// part is one entry of a file: a tensor, or the scales of one.
type part struct {
	Info
	values func() []float32
}

// plan checks tensors and lists what they become in a file. Types of large elements come first, so that each tensor is aligned
// to its element, which readers that map the file into memory rely on; otherwise the order is kept.
func plan(tensors []Tensor) ([]part, error) {
	var parts []part
	seen := map[string]bool{metadataKey: true}
	for _, t := range tensors {
		list, err := t.parts()
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		for _, p := range list {
			if seen[p.Name] {
				return nil, fmt.Errorf("tensor %s: the name is taken; give each tensor a name of its own", quote(p.Name))
			}
			seen[p.Name] = true
		}
		parts = append(parts, list...)
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.DType.size(), a.DType.size()) })
	return parts, nil
}

// parts lists what t becomes in a file.
func (t Tensor) parts() ([]part, error) {
	size, ok := byteSize(t.DType, t.Shape)
	switch {
	case t.DType != F32 && t.DType != BF16 && t.DType != F16 && t.DType != F8_E4M3:
		return nil, fmt.Errorf("dtype %s is not written; choose F32, BF16, F16 or F8_E4M3", quote(string(t.DType)))
	case !ok || size != int64(len(t.Data))*t.DType.size():
		return nil, fmt.Errorf("shape %v does not fit %d elements", t.Shape, len(t.Data))
	case !utf8.ValidString(t.Name):
		return nil, errors.New("the name is not UTF-8")
	}
	self := part{Info{Name: t.Name, DType: t.DType, Shape: t.Shape, size: size}, func() []float32 { return t.Data }}
	if t.DType != F8_E4M3 {
		return []part{self}, nil
	}
	if len(t.Shape) != 2 {
		return nil, fmt.Errorf("F8_E4M3 with shape %v; only a matrix has 128 x 128 blocks, store it as BF16", t.Shape)
	}
	shape := scaleShape(t.Shape)
	n := shape[0] * shape[1]
	scales := part{Info{Name: scaleName(t.Name), DType: F32, Shape: shape, size: 4 * int64(n)}, func() []float32 {
		s := make([]float32, n)
		float8.BlockScales(s, t.Data, t.Shape[0], t.Shape[1], false)
		return s
	}}
	return []part{self, scales}, nil
}

// storedSize is the number of bytes of data that t takes in a file.
func (t Tensor) storedSize() int64 {
	size := int64(len(t.Data)) * t.DType.size()
	if t.DType == F8_E4M3 {
		s := scaleShape(t.Shape)
		size += 4 * int64(s[0]) * int64(s[1])
	}
	return size
}

// header is the start of a file up to its data, padded so that the data begins at a multiple of eight.
func header(parts []part, metadata map[string]string) ([]byte, error) {
	type entry struct {
		DType   DType    `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	meta := map[string]string{"format": "pt"}
	maps.Copy(meta, metadata)
	text, err := json.Marshal(map[string]any{metadataKey: meta})
	if err != nil {
		return nil, err
	}
	text = text[:len(text)-1] // the closing brace comes after the tensors
	var off int64
	for _, p := range parts {
		name, err := json.Marshal(p.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(entry{p.DType, append([]int{}, p.Shape...), [2]int64{off, off + p.size}})
		if err != nil {
			return nil, err
		}
		text = append(append(append(append(text, ','), name...), ':'), value...)
		off += p.size
	}
	text = append(text, '}')
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	if len(text) > maxHeader {
		return nil, fmt.Errorf("header of %d bytes for %d tensors is over the format's limit of %d; write more shards",
			len(text), len(parts), maxHeader)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}

// write writes the data of p.
func (p part) write(w io.Writer) error {
	x := p.values()
	if p.DType == F8_E4M3 {
		return writeE4M3(w, x, p.Shape[0], p.Shape[1])
	}
	size := int(p.DType.size())
	buf := make([]byte, min(chunk, len(x)*size))
	for len(x) > 0 {
		n := min(len(x), len(buf)/size)
		encode(buf, x[:n], p.DType)
		if _, err := w.Write(buf[:n*size]); err != nil {
			return err
		}
		x = x[n:]
	}
	return nil
}

// encode stores x in b as dtype.
func encode(b []byte, x []float32, dtype DType) {
	switch dtype {
	case F32:
		for i, v := range x {
			binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
		}
	case BF16:
		for i, v := range x {
			binary.LittleEndian.PutUint16(b[2*i:], toBF16(v))
		}
	case F16:
		for i, v := range x {
			binary.LittleEndian.PutUint16(b[2*i:], toF16(v))
		}
	}
}

// writeE4M3 quantizes and writes one row of blocks at a time.
func writeE4M3(w io.Writer, x []float32, rows, cols int) error {
	q := make([]byte, min(rows, float8.Block)*cols)
	scale := make([]float32, float8.Blocks(cols))
	for len(x) > 0 {
		n := min(len(x), len(q))
		float8.QuantizeBlocks(q[:n], scale, x[:n], n/cols, cols, false)
		if _, err := w.Write(q[:n]); err != nil {
			return err
		}
		x = x[n:]
	}
	return nil
}
