package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	singleName  = "model.safetensors"
	indexName   = "model.safetensors.index.json"
	metadataKey = "__metadata__"

	maxHeader = 100_000_000 // bytes; the format's own limit
	maxDims   = 64          // of a tensor; PyTorch's limit
)

// readHeader reads the tensors and the metadata of a file of the given size, and checks that the tensors fill it exactly.
func readHeader(f file, where string, size int64) (map[string]Info, map[string]string, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, nil, fmt.Errorf("%d bytes are no safetensors file; fetch it again", size)
	}
	if _, err := f.ReadAt(prefix[:], 0); err != nil {
		return nil, nil, err
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case n > maxHeader:
		return nil, nil, fmt.Errorf("header of %d bytes is over the limit of %d; this is no safetensors file", n, maxHeader)
	case n > uint64(size-8):
		return nil, nil, fmt.Errorf("header of %d bytes does not fit a file of %d; it is truncated, fetch it again", n, size)
	}
	text := make([]byte, n)
	if _, err := f.ReadAt(text, 8); err != nil {
		return nil, nil, err
	}
	tensors, metadata, err := parseHeader(text)
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	data := 8 + int64(n)
	if err := checkLayout(tensors, size-data); err != nil {
		return nil, nil, err
	}
	byName := make(map[string]Info, len(tensors))
	for _, t := range tensors {
		t.file, t.where = f, where
		t.off += data
		byName[t.Name] = t
	}
	return byName, metadata, nil
}

// parseHeader reads the JSON of a header. Offsets count from the start of the data and are not checked against its size.
func parseHeader(text []byte) ([]Info, map[string]string, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, errors.New("does not begin with {; this is no safetensors file")
	}
	var tensors []Info
	metadata := map[string]string{}
	err := parseObject(text, func(dec *json.Decoder, name string) error {
		if name == metadataKey {
			return object(dec, func(key string) (err error) {
				metadata[key], err = token[string](dec)
				return err
			})
		}
		t, err := parseTensor(dec, name)
		tensors = append(tensors, t)
		return err
	})
	return tensors, metadata, err
}

// parseTensor reads {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}.
func parseTensor(dec *json.Decoder, name string) (Info, error) {
	t := Info{Name: name}
	var offsets []int
	fields := 0
	err := object(dec, func(key string) (err error) {
		fields++
		switch key {
		case "dtype":
			var s string
			s, err = token[string](dec)
			t.DType = DType(s)
		case "shape":
			t.Shape, err = ints(dec)
		case "data_offsets":
			offsets, err = ints(dec)
		default:
			err = fmt.Errorf("%s is no field of a tensor", quote(key))
		}
		return err
	})
	switch {
	case err != nil:
		return t, err
	case fields != 3:
		return t, errors.New("one of dtype, shape and data_offsets is missing")
	case t.DType.size() == 0:
		return t, fmt.Errorf("dtype %s is unknown; convert the file to F32, BF16, F16 or F8_E4M3", quote(string(t.DType)))
	case len(offsets) != 2 || offsets[0] > offsets[1]:
		return t, fmt.Errorf("data_offsets are %d numbers out of order; want a begin and an end", len(offsets))
	}
	t.off, t.size = int64(offsets[0]), int64(offsets[1]-offsets[0])
	want, ok := byteSize(t.DType, t.Shape)
	if !ok || want != t.size {
		return t, fmt.Errorf("shape of %d dimensions in %s does not make the %d bytes of its data_offsets", len(t.Shape), t.DType, t.size)
	}
	return t, nil
}

// byteSize is the number of bytes of a tensor; ok is false where it overflows or a dimension is negative.
func byteSize(dtype DType, shape []int) (size int64, ok bool) {
	n := uint64(dtype.size())
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if d < 0 || hi != 0 || lo > math.MaxInt {
			return 0, false
		}
		n = lo
	}
	return int64(n), true
}

// checkLayout makes sure that the tensors cover size bytes of data without a hole or an overlap. It sorts them by place.
func checkLayout(tensors []Info, size int64) error {
	slices.SortFunc(tensors, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.off, b.off), cmp.Compare(a.size, b.size), cmp.Compare(a.Name, b.Name))
	})
	var end int64
	for _, t := range tensors {
		switch {
		case t.size > size-t.off: // both sides are exact: off and size are not negative
			return fmt.Errorf("tensor %s: ends at byte %d of %d bytes of data; the file is truncated, fetch it again",
				quote(t.Name), uint64(t.off)+uint64(t.size), size)
		case t.off != end:
			return fmt.Errorf("tensor %s: begins at byte %d of the data where %d is next; the format allows no hole or overlap",
				quote(t.Name), t.off, end)
		}
		end += t.size
	}
	if end != size {
		return fmt.Errorf("%d bytes of data belong to no tensor; the file is damaged, fetch it again", size-end)
	}
	return nil
}

// readIndex reads the weight_map of an index file: tensor name to file name.
func readIndex(dir directory) (map[string]string, error) {
	st, err := fs.Stat(dir, indexName)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxHeader {
		return nil, fmt.Errorf("is not a regular file of at most %d bytes", maxHeader)
	}
	text, err := fs.ReadFile(dir, indexName)
	if err != nil {
		return nil, err
	}
	weightMap := map[string]string{}
	err = parseObject(text, func(dec *json.Decoder, key string) error {
		if key != "weight_map" {
			var skip json.RawMessage
			return dec.Decode(&skip)
		}
		return object(dec, func(tensor string) error {
			file, err := token[string](dec)
			// Nothing that could lead out of the directory, on any system.
			if err == nil && (!strings.HasSuffix(file, ".safetensors") || strings.ContainsAny(file, "/\\:\x00")) {
				err = fmt.Errorf("shard %s is not the plain name of a .safetensors file", quote(file))
			}
			weightMap[tensor] = file
			return err
		})
	})
	if err == nil && len(weightMap) == 0 {
		err = errors.New("names no tensors; fetch it again")
	}
	return weightMap, err
}

// parseObject walks the members of a JSON text that is one object and nothing else.
func parseObject(text []byte, member func(dec *json.Decoder, key string) error) error {
	if !utf8.Valid(text) {
		return errors.New("is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := object(dec, func(key string) error { return member(dec, key) }); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more follows after the closing brace")
	}
	return nil
}

// object walks the members of the next JSON object; member reads the value of key. A key that comes twice is an error.
func object(dec *json.Decoder, member func(key string) error) error {
	if err := delim(dec, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := token[string](dec)
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("%s appears twice", quote(key))
		}
		seen[key] = true
		if err := member(key); err != nil {
			return fmt.Errorf("%s: %w", quote(key), err)
		}
	}
	return delim(dec, '}')
}

// ints reads a JSON array of whole numbers, none of them negative.
func ints(dec *json.Decoder) ([]int, error) {
	if err := delim(dec, '['); err != nil {
		return nil, err
	}
	var list []int
	for dec.More() {
		number, err := token[json.Number](dec)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(string(number), 10, strconv.IntSize-1)
		if err != nil {
			return nil, fmt.Errorf("%s is not a whole number from 0 to %d", quote(string(number)), math.MaxInt)
		}
		if len(list) == maxDims {
			return nil, fmt.Errorf("more than %d numbers", maxDims)
		}
		list = append(list, int(n))
	}
	return list, delim(dec, ']')
}

func delim(dec *json.Decoder, want json.Delim) error {
	got, err := token[json.Delim](dec)
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v should be", got, want)
	}
	return err
}

// token reads the next JSON token, which must be a T.
func token[T json.Delim | json.Number | string](dec *json.Decoder) (T, error) {
	got, err := dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	v, ok := got.(T)
	if err == nil && !ok {
		err = fmt.Errorf("%T at byte %d where %T should be", got, dec.InputOffset(), v)
	}
	return v, err
}
