package data

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// shardOf writes documents as a shard, and opens it.
func shardOf(t testing.TB, vocab int, docs ...[]int32) *shard {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tokens")
	writeShard(t, path, vocab, docs...)
	s, err := openShard(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

// makeShard is the bytes of a shard of documents.
func makeShard(t testing.TB, vocab int, docs ...[]int32) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tokens")
	writeShard(t, path, vocab, docs...)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeShard(t testing.TB, path string, vocab int, docs ...[]int32) {
	t.Helper()
	w, err := createShard(path, vocab)
	if err != nil {
		t.Fatal(err)
	}
	defer w.discard()
	for _, d := range docs {
		if err := w.add(d, len(d)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	if err := w.commit(); err != nil {
		t.Fatal(err)
	}
}

func TestShardGivesBackWhatWasWritten(t *testing.T) {
	for _, vocab := range []int{100, narrowVocab, narrowVocab + 1, 1 << 20} {
		top := int32(vocab - 1)
		docs := [][]int32{{1, 2, 3}, {top}, {top | noTarget, 0, noTarget}}
		b := makeShard(t, vocab, docs...)
		s, err := readShard(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if got := all(t, s); !slices.Equal(got, slices.Concat(docs...)) {
			t.Errorf("vocabulary %d: %v", vocab, got)
		}
		if want := map[bool]int{true: 2, false: 4}[vocab <= narrowVocab]; s.width != want || s.documents != 3 || s.bytes != 7 {
			t.Errorf("vocabulary %d: %+v", vocab, s.shardHeader)
		}
		for i, want := range []int64{3, 4, 7} {
			if end, err := s.end(int64(i), &scratch{}); err != nil || end != want {
				t.Errorf("document %d ends at %d, %v, want %d", i, end, err, want)
			}
		}
	}
}

// reseal makes the checksum right again, as somebody would who means harm.
func reseal(b []byte) []byte {
	sum := crc32.Update(crc32.Checksum(b[headerSize:], castagnoli), castagnoli, b[:60])
	binary.LittleEndian.PutUint32(b[60:], sum)
	return b
}

func TestDamagedShards(t *testing.T) {
	good := makeShard(t, 10, []int32{1, 2, 3}, []int32{4, 5})
	const tokens, ends = headerSize, headerSize + 5*2
	change := func(at int, v ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], v)
		return b
	}
	full := bytes.Repeat([]byte{0xff}, 8)
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"empty":               {nil, "not a shard"},
		"short":               {good[:40], "not a shard"},
		"truncated":           {good[:len(good)-1], "bytes long"},
		"longer":              {append(slices.Clone(good), 0), "bytes long"},
		"magic":               {change(0, 'x'), "not a shard"},
		"version":             {change(8, 9), "version 9"},
		"width":               {reseal(change(12, 3)), "impossible"},
		"many tokens":         {reseal(change(16, full...)), "impossible"},
		"overflow":            {reseal(change(16, 0, 0, 0, 0, 0, 0, 0, 0x40)), "impossible"},
		"many documents":      {reseal(change(24, 6)), "impossible"},
		"text":                {reseal(change(32, full...)), "impossible"},
		"vocabulary":          {reseal(change(40, 5)), "not below 5"},
		"wide vocabulary":     {reseal(change(40, 0, 0, 1)), "impossible"},
		"a bit of a token":    {change(tokens, 2), "checksum"},
		"token":               {reseal(change(tokens, 10)), "not below 10"},
		"ends descend":        {reseal(change(ends, 6)), "ascend"},
		"ends stand":          {reseal(change(ends, 0)), "ascend"},
		"last end":            {reseal(change(ends+8, 4)), "last document"},
		"a bit of the header": {change(50, 1), "checksum"},
	} {
		if _, err := readShard(bytes.NewReader(c.b), int64(len(c.b))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
	if _, err := readShard(bytes.NewReader(reseal(slices.Clone(good))), int64(len(good))); err != nil {
		t.Errorf("the whole shard: %v", err)
	}
}

// TestShardThatShrinks: a file that is cut after it was opened is an error, not old bytes.
func TestShardThatShrinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tokens")
	if err := os.WriteFile(path, makeShard(t, 10, []int32{1, 2, 3, 4}), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openShard(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := os.Truncate(path, headerSize+2); err != nil {
		t.Fatal(err)
	}
	if err := s.read(make([]int32, 4), 0, &scratch{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want the path in it", err)
	}
	if _, err := s.starts(nil, 0, 4, &scratch{}); err == nil {
		t.Error("reading the documents' ends: no error")
	}
}

func TestFullDisk(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	w, err := newShardWriter(f, "a.tokens", 10)
	if err != nil {
		t.Fatal(err)
	}
	err = w.add(make([]int32, 1<<20), 1)
	if err == nil {
		err = w.finish()
	}
	if err == nil {
		t.Fatal("no error")
	}
	if got, want := w.failed(err).Error(), "writing a.tokens: "+syscall.ENOSPC.Error()+": free some space, or name another directory by data.dir"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

// FuzzShard: whatever opens can be read throughout, and holds what its header says.
func FuzzShard(f *testing.F) {
	for _, vocab := range []int{10, 1 << 20} {
		f.Add(makeShard(f, vocab, []int32{1, 2, 3}, []int32{4 | noTarget, 5}), int64(1), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, at int64, n int) {
		if len(b) >= headerSize {
			reseal(b)
		}
		s, err := readShard(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, id := range all(t, s) {
			if id&math.MaxInt32 >= int32(s.vocab) {
				t.Fatalf("token %d of a vocabulary of %d", id, s.vocab)
			}
		}
		if at < -1 || n < 1 || int64(n) > s.tokens || at > s.tokens-int64(n) {
			return
		}
		starts, err := s.starts(nil, at, n, &scratch{})
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(starts); i++ {
			if starts[i] <= starts[i-1] || int(starts[i]) >= n {
				t.Fatalf("starts %v in %d tokens from %d", starts, n, at)
			}
		}
	})
}
