// Package safetensors reads and writes weights in the safetensors format of Hugging Face, one file or a directory of shards.
//
// A file is a length N (eight bytes, little-endian), N bytes of JSON, and data. The JSON names each tensor, its dtype, its shape
// and where in the data it lies:
//
//	{"__metadata__": {"format": "pt"},
//	 "model.norm.weight": {"dtype": "BF16", "shape": [7168], "data_offsets": [0, 14336]}, …}
//
// The data has no holes and no overlaps, and numbers are little-endian, row by row. A large model is several such files and
// model.safetensors.index.json, whose weight_map says which file holds which tensor.
//
// To read, [Open] a file or a directory and ask for tensors by name; they arrive as float32 whatever they are stored as:
//
//	r, err := safetensors.Open("models/nano")
//	…
//	defer r.Close()
//	norm := make([]float32, 7168)
//	err = r.ReadFloat32("model.norm.weight", norm)
//
// F8_E4M3 means DeepSeek-V3's block format: a matrix "x.weight" has a companion "x.weight_scale_inv" with one multiplier for each
// block of 128 x 128 (see package float8). The companion may lie in another shard.
//
// To write, [Write] one file or [WriteDir] a directory. Files are private (mode 0600) and replaced atomically: after a crash or
// on a full disk what was there before is still whole. One process at a time may write a directory.
//
// Files come from strangers. Open checks every length, offset, shape and name against the size of the real file before it
// allocates for them, and refuses a file whole; what opens can be read. The format carries no code.
//
// Source: the format's README at github.com/huggingface/safetensors.
package safetensors

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
)

// DType names the type of a tensor's elements as the format spells it.
type DType string

// The types that ReadFloat32 converts and Write stores, and those that ReadInts converts. Others are known by size only.
const (
	F32     DType = "F32"
	BF16    DType = "BF16"
	F16     DType = "F16"
	F8_E4M3 DType = "F8_E4M3"
	I32     DType = "I32"
	I64     DType = "I64"
)

// size is the number of bytes of one element, 0 for an unknown type.
func (d DType) size() int64 {
	switch d {
	case "BOOL", "U8", "I8", F8_E4M3, "F8_E5M2", "F8_E8M0":
		return 1
	case "U16", "I16", F16, BF16:
		return 2
	case "U32", I32, F32:
		return 4
	case "U64", I64, "F64", "C64":
		return 8
	}
	return 0
}

// Info describes a tensor of a file.
type Info struct {
	Name  string
	DType DType
	Shape []int // outermost dimension first; empty for a scalar

	file      file
	where     string // file's path, for messages
	off, size int64  // bytes [off, off+size) of file
}

// Len is the number of elements.
func (t Info) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Size is the number of bytes that the tensor takes in its file.
func (t Info) Size() int64 { return t.size }

// A Reader gives access to the tensors of a model. Several goroutines may read from it at once.
type Reader struct {
	tensors  map[string]Info
	metadata map[string]string
	files    []file
}

// file is what tensors are read from. Files of the operating system are, and embedded ones.
type file interface {
	fs.File
	io.ReaderAt
}

// Open opens one .safetensors file, or a directory: its model.safetensors.index.json with the shards that it names, else
// model.safetensors, else the only .safetensors file in it.
func Open(path string) (*Reader, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if st.IsDir() {
		return open(directory{os.DirFS(path), path}, "")
	}
	dir, name := filepath.Split(path)
	return open(directory{os.DirFS(filepath.Clean(dir)), dir}, name)
}

// OpenFS opens a directory in the same way.
func OpenFS(dir fs.FS) (*Reader, error) { return open(directory{dir, ""}, "") }

// directory is where files are, with its name for messages.
type directory struct {
	fs.FS
	name string
}

func (d directory) path(file string) string { return filepath.Join(d.name, file) }

func (d directory) has(file string) (bool, error) {
	_, err := fs.Stat(d, file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// open opens the file called name, or where that is empty the directory.
func open(dir directory, name string) (*Reader, error) {
	r := &Reader{tensors: map[string]Info{}, metadata: map[string]string{}}
	var err error
	if name == "" {
		err = r.addDirectory(dir)
	} else {
		err = r.addFile(dir, name, nil)
	}
	if err == nil {
		err = r.checkScales()
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	return r, nil
}

func (r *Reader) addDirectory(dir directory) error {
	if ok, err := dir.has(indexName); err != nil {
		return err
	} else if ok {
		return r.addShards(dir)
	}
	if ok, err := dir.has(singleName); err != nil {
		return err
	} else if ok {
		return r.addFile(dir, singleName, nil)
	}
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return path.Ext(e.Name()) != ".safetensors" })
	if len(entries) == 0 {
		return fmt.Errorf("%s: holds no .safetensors file; fetch the weights", dir.path("."))
	}
	if len(entries) > 1 {
		return fmt.Errorf("%s: holds neither %s nor %s, but %d other .safetensors files; name the file to open, or fetch the index",
			dir.path("."), indexName, singleName, len(entries))
	}
	return r.addFile(dir, entries[0].Name(), nil)
}

// addShards adds the tensors that the index file names.
func (r *Reader) addShards(dir directory) error {
	weightMap, err := readIndex(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", dir.path(indexName), err)
	}
	shards := map[string][]string{} // file name to the tensors it should hold
	for tensor, file := range weightMap {
		shards[file] = append(shards[file], tensor)
	}
	for _, file := range slices.Sorted(maps.Keys(shards)) {
		slices.Sort(shards[file])
		err := r.addFile(dir, file, shards[file])
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: shard %s is missing; fetch it again", dir.path(indexName), quote(file))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// addFile adds tensors of a file: those in want, or all where want is nil.
func (r *Reader) addFile(dir directory, name string, want []string) error {
	st, err := fs.Stat(dir, name) // before opening, which would wait on a pipe
	if err != nil {
		return err
	}
	where := dir.path(name)
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s: is not a regular file", where)
	}
	opened, err := dir.Open(name)
	if err != nil {
		return err
	}
	f, ok := opened.(file)
	if !ok {
		opened.Close()
		return fmt.Errorf("%s: cannot be read out of order", where)
	}
	r.files = append(r.files, f)
	tensors, metadata, err := readHeader(f, where, st.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	maps.Copy(r.metadata, metadata)
	if want == nil {
		r.tensors = tensors
		return nil
	}
	for _, name := range want {
		t, ok := tensors[name]
		if !ok {
			return fmt.Errorf("%s: tensor %s is not in it, though %s says so; fetch both again", where, quote(name), indexName)
		}
		r.tensors[name] = t
	}
	return nil
}

// Names lists the tensors, sorted.
func (r *Reader) Names() []string { return slices.Sorted(maps.Keys(r.tensors)) }

// Info describes the tensor called name; ok tells whether there is one.
func (r *Reader) Info(name string) (t Info, ok bool) {
	t, ok = r.tensors[name]
	return t, ok
}

// Metadata holds the strings that the writer of the files put beside the tensors; later shards win over earlier ones.
func (r *Reader) Metadata() map[string]string { return maps.Clone(r.metadata) }

// Close closes the files.
func (r *Reader) Close() error {
	var err error
	for _, f := range r.files {
		err = cmp.Or(err, f.Close())
	}
	return err
}

// lookup finds the tensor called name, which must have n elements.
func (r *Reader) lookup(name string, n int) (Info, error) {
	t, ok := r.tensors[name]
	if !ok {
		return t, fmt.Errorf("safetensors: no tensor %s among %d; is this the right model?", quote(name), len(r.tensors))
	}
	if t.Len() != n {
		return t, t.errorf("has shape %v, %d elements, but %d are wanted; does config.json belong to these weights?", t.Shape, t.Len(), n)
	}
	return t, nil
}

// ReadBytes reads the tensor called name as it is stored into dst, from byte off on.
func (r *Reader) ReadBytes(name string, dst []byte, off int64) error {
	t, ok := r.tensors[name]
	if !ok {
		return fmt.Errorf("safetensors: no tensor %s among %d; is this the right model?", quote(name), len(r.tensors))
	}
	if off < 0 || off > t.size || int64(len(dst)) > t.size-off {
		return t.errorf("has %d bytes, but %d from %d on are wanted", t.size, len(dst), off)
	}
	return t.readAt(dst, off)
}

func (t Info) errorf(format string, args ...any) error {
	return fmt.Errorf("safetensors: %s: tensor %s: %w", t.where, quote(t.Name), fmt.Errorf(format, args...))
}

// readAt fills b from byte off of the tensor.
func (t Info) readAt(b []byte, off int64) error {
	_, err := t.file.ReadAt(b, t.off+off)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the file was checked at Open: it has shrunk since
	}
	if err != nil {
		return t.errorf("%w", err)
	}
	return nil
}

// quote makes a name from a file fit for one line of an error.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.Quote(name)
}
