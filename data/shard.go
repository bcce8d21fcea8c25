package data

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// A shard is a file of tokens that have been made once and are read many times. All numbers are little endian.
//
//	 0  magic "sprattok"
//	 8  uint32  version, 1
//	12  uint32  bytes of a token, 2 or 4
//	16  uint64  tokens T
//	24  uint64  documents D
//	32  uint64  bytes of the text that the tokens stand for
//	40  uint32  vocabulary: every token is below it
//	44  zeros
//	60  uint32  CRC-32C of what follows the header, and then of the header up to here
//	64  T tokens, one document after the other; the highest bit is set on those that are no targets (noTarget)
//	    D uint64, where each document ends, counted in tokens
const (
	shardMagic   = "sprattok"
	shardVersion = 1
	headerSize   = 64
	endSize      = 8
	maxTokens    = 1 << 48 // in a shard: keeps every sum below within an int64
	narrowVocab  = 1 << 15 // the largest whose tokens have 2 bytes
)

// noTarget marks a token, in memory, that a model reads but does not learn to write: a mistake, say, that is corrected later.
const noTarget = math.MinInt32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// shardHeader is the header of a shard.
type shardHeader struct {
	width     int // bytes of a token
	tokens    int64
	documents int64
	bytes     int64
	vocab     int
	checksum  uint32
}

func (h shardHeader) size() int64 { return headerSize + h.tokens*int64(h.width) + h.documents*endSize }

// encode returns the header, its checksum made from the body's.
func (h *shardHeader) encode(body uint32) []byte {
	b := make([]byte, headerSize)
	copy(b, shardMagic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], shardVersion)
	le.PutUint32(b[12:], uint32(h.width))
	le.PutUint64(b[16:], uint64(h.tokens))
	le.PutUint64(b[24:], uint64(h.documents))
	le.PutUint64(b[32:], uint64(h.bytes))
	le.PutUint32(b[40:], uint32(h.vocab))
	h.checksum = crc32.Update(body, castagnoli, b[:60])
	le.PutUint32(b[60:], h.checksum)
	return b
}

// parseHeader reads the header of a file of size bytes, and believes none of it that the size does not bear out.
func parseHeader(b []byte, size int64) (shardHeader, error) {
	le := binary.LittleEndian
	if len(b) < headerSize || string(b[:8]) != shardMagic {
		return shardHeader{}, errors.New("not a shard of tokens")
	}
	if v := le.Uint32(b[8:]); v != shardVersion {
		return shardHeader{}, fmt.Errorf("a shard of version %d, want %d", v, shardVersion)
	}
	width, tokens, documents, text := le.Uint32(b[12:]), le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:])
	vocab := le.Uint32(b[40:])
	badWidth := width != 2 && width != 4 || width == 2 && vocab > narrowVocab
	if badWidth || tokens > maxTokens || documents > tokens || text > math.MaxInt64 || vocab > math.MaxInt32 {
		return shardHeader{}, errors.New("damaged: its header has impossible counts")
	}
	h := shardHeader{int(width), int64(tokens), int64(documents), int64(text), int(vocab), le.Uint32(b[60:])}
	if h.size() != size {
		return shardHeader{}, fmt.Errorf("damaged: %d bytes long, but its header says %d", size, h.size())
	}
	return h, nil
}

// shard is a shard that is open for reading. It may be read from several goroutines.
type shard struct {
	shardHeader
	path    string
	targets int64 // tokens without noTarget
	r       io.ReaderAt
	f       *os.File // nil where r is no file
}

// openShard opens the shard at path and reads all of it once, to see that it is whole.
func openShard(path string) (*shard, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	s, err := readShard(f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.path, s.f = path, f
	return s, nil
}

func readShard(r io.ReaderAt, size int64) (*shard, error) {
	b := make([]byte, min(size, headerSize))
	if err := readAt(r, b, 0); err != nil {
		return nil, err
	}
	h, err := parseHeader(b, size)
	if err != nil {
		return nil, err
	}
	s := &shard{shardHeader: h, path: "shard", r: r}
	return s, s.check(b)
}

func (s *shard) close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}

// check reads the whole shard: the checksum is right, every token is in the vocabulary, the documents' ends ascend.
func (s *shard) check(header []byte) error {
	crc := crc32.New(castagnoli)
	body := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(s.r, headerSize, s.size()-headerSize), crc), 1<<18)
	buf, ids := make([]byte, 1<<16), make([]int32, 1<<15)
	for left := s.tokens * int64(s.width); left > 0; {
		n := min(left, int64(len(buf)))
		if _, err := io.ReadFull(body, buf[:n]); err != nil {
			return err
		}
		if err := s.decode(ids, buf[:n]); err != nil {
			return err
		}
		for _, id := range ids[:n/int64(s.width)] {
			s.targets += int64(1 + id>>31)
		}
		left -= n
	}
	last := int64(0)
	for range s.documents {
		if _, err := io.ReadFull(body, buf[:endSize]); err != nil {
			return err
		}
		end := int64(binary.LittleEndian.Uint64(buf))
		if end <= last || end > s.tokens {
			return errors.New("damaged: its documents' ends do not ascend")
		}
		last = end
	}
	if last != s.tokens {
		return errors.New("damaged: its last document does not end with its last token")
	}
	if crc32.Update(crc.Sum32(), castagnoli, header[:60]) != s.checksum {
		return errors.New("damaged: its checksum is wrong")
	}
	return nil
}

// decode sets dst to the tokens in src, noTarget included, and tells whether all are in the vocabulary.
func (s *shard) decode(dst []int32, src []byte) error {
	most := uint32(0)
	for i := range len(src) / s.width {
		var id uint32
		if s.width == 2 {
			b := uint32(binary.LittleEndian.Uint16(src[2*i:]))
			id = b&(narrowVocab-1) | b>>15<<31
		} else {
			id = binary.LittleEndian.Uint32(src[4*i:])
		}
		most = max(most, id&math.MaxInt32)
		dst[i] = int32(id)
	}
	if len(src) > 0 && most >= uint32(s.vocab) {
		return fmt.Errorf("damaged: token %d is not below %d, the vocabulary", most, s.vocab)
	}
	return nil
}

// scratch is space to read with, so that reading allocates nothing.
type scratch struct{ buf []byte }

func (x *scratch) grow(n int) []byte {
	x.buf = slices.Grow(x.buf[:0], n)[:n]
	return x.buf
}

// read fills dst with the tokens from number at on. They must be there.
func (s *shard) read(dst []int32, at int64, x *scratch) error {
	b := x.grow(len(dst) * s.width)
	err := readAt(s.r, b, headerSize+at*int64(s.width))
	if err == nil {
		err = s.decode(dst, b)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.path, err)
	}
	return nil
}

// starts appends to dst where documents begin within the n tokens from number at on, counted from there: 0 first, even if a
// document began before it. The token before the first, -1, counts as the end of a document.
func (s *shard) starts(dst []int32, at int64, n int, x *scratch) ([]int32, error) {
	dst = append(dst, 0)
	if at < 0 && n > 1 {
		dst = append(dst, 1)
	}
	lo, hi := int64(0), s.documents // the first document that ends after at
	for lo < hi {
		mid := lo + (hi-lo)/2
		end, err := s.end(mid, x)
		if err != nil {
			return dst, err
		}
		if end > at {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	for ; lo < s.documents; lo++ {
		end, err := s.end(lo, x)
		if err != nil || end >= at+int64(n) {
			return dst, err
		}
		dst = append(dst, int32(end-at))
	}
	return dst, nil
}

// end is where document i ends.
func (s *shard) end(i int64, x *scratch) (int64, error) {
	b := x.grow(endSize)
	if err := readAt(s.r, b, headerSize+s.tokens*int64(s.width)+i*endSize); err != nil {
		return 0, fmt.Errorf("reading %s: %w", s.path, err)
	}
	return int64(binary.LittleEndian.Uint64(b)), nil
}

// readAt fills b: a file may have become shorter since it was opened.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// shardWriter writes a shard to a temporary file, which commit moves into place.
type shardWriter struct {
	shardHeader
	path string
	f    *os.File
	w    *bufio.Writer
	crc  uint32
	lens []byte // of the documents, as varints: a fraction of their ends
	buf  []byte
}

// createShard begins the shard that will be at path, in a directory that exists.
func createShard(path string, vocab int) (*shardWriter, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return nil, err
	}
	return newShardWriter(f, path, vocab)
}

func newShardWriter(f *os.File, path string, vocab int) (*shardWriter, error) {
	s := &shardWriter{path: path, f: f, w: bufio.NewWriterSize(f, 1<<18)}
	s.vocab, s.width = vocab, 2
	if vocab > narrowVocab {
		s.width = 4
	}
	_, err := s.w.Write(make([]byte, headerSize))
	return s, err
}

// add appends a document, which is not empty and stands for size bytes of text.
func (s *shardWriter) add(ids []int32, size int) error {
	b := s.buf[:0]
	for _, id := range ids {
		if s.width == 2 {
			b = binary.LittleEndian.AppendUint16(b, uint16(id&math.MaxInt32|int32(uint32(id)>>31<<15)))
		} else {
			b = binary.LittleEndian.AppendUint32(b, uint32(id))
		}
	}
	s.buf = b
	s.lens = binary.AppendUvarint(s.lens, uint64(len(ids)))
	s.tokens += int64(len(ids))
	s.documents++
	s.bytes += int64(size)
	return s.write(b)
}

func (s *shardWriter) write(b []byte) error {
	s.crc = crc32.Update(s.crc, castagnoli, b)
	_, err := s.w.Write(b)
	return err
}

// failed is an error of writing with what to do about it.
func (s *shardWriter) failed(err error) error {
	var at *fs.PathError // of the temporary file
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("writing %s: %w: free some space, or name another directory by data.dir", s.path, err)
}

// finish writes what is left and makes sure that the file is on the disk, under its temporary name.
func (s *shardWriter) finish() error {
	end := uint64(0)
	for lens := s.lens; len(lens) > 0; {
		n, size := binary.Uvarint(lens)
		lens, end = lens[size:], end+n
		s.buf = binary.LittleEndian.AppendUint64(s.buf[:0], end)
		if err := s.write(s.buf); err != nil {
			return err
		}
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.f.WriteAt(s.encode(s.crc), 0); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		return err
	}
	return s.f.Close()
}

// commit puts the finished shard at its path.
func (s *shardWriter) commit() error { return os.Rename(s.f.Name(), s.path) }

// discard removes the temporary file, finished or not. After commit it does nothing.
func (s *shardWriter) discard() {
	s.f.Close()
	os.Remove(s.f.Name())
}
