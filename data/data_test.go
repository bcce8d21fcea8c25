package data

import (
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// letters is an encoder that makes a token of each byte.
type letters struct{}

func (letters) EncodeOrdinary(dst []int32, text string) []int32 {
	for _, b := range []byte(text) {
		dst = append(dst, int32(b))
	}
	return dst
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	switch {
	case strings.HasSuffix(name, ".gz"):
		w := gzip.NewWriter(f)
		w.Write([]byte(text))
		err = w.Close()
	case strings.HasSuffix(name, ".zst"):
		var w *zstd.Encoder
		if w, err = zstd.NewWriter(f); err == nil {
			w.Write([]byte(text))
			err = w.Close()
		}
	default:
		_, err = f.WriteString(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDocs(t *testing.T) {
	const jsonl = `{"text":"one\ntwo","id":3}` + "\n\n" + `{"text":""}` + "\n" + `{"text":"three"}`
	for _, name := range []string{"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"} {
		var got []string
		for doc, err := range Docs(write(t, name, jsonl)) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = append(got, doc)
		}
		if want := []string{"one\ntwo", "three"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestDocsErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a.csv", "x", "want a name that ends in"},
		{"a.jsonl", `{"text":"good"}` + "\n{", "line 2"},
		{"a.jsonl", `{"body":"x"}`, `line 1 has no string under the key "text"`},
		{"a.jsonl", `{"text":5}`, "line 1"},
	} {
		var failed error
		for _, err := range Docs(write(t, c.name, c.text)) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), c.want) {
			t.Errorf("%s %q: error %v, want %q in it", c.name, c.text, failed, c.want)
		}
	}
	for _, name := range []string{"a.txt.gz", "a.txt.zst"} {
		path := filepath.Join(t.TempDir(), name)
		os.WriteFile(path, []byte("this is not compressed"), 0o600)
		var failed error
		for _, err := range Docs(path) {
			failed = err
		}
		if failed == nil {
			t.Errorf("%s that is not compressed: no error", name)
		}
	}
}

func TestReadKeepsOrder(t *testing.T) {
	long := strings.Repeat("x", 3*chunk/2)
	path := write(t, "a.jsonl", `{"text":"ab"}`+"\n"+`{"text":"`+long+`"}`+"\n"+`{"text":"cd"}`)
	c, err := Read(context.Background(), []string{path, write(t, "b.txt", "z")}, letters{}, -5)
	if err != nil {
		t.Fatal(err)
	}
	want := letters{}.EncodeOrdinary(nil, "ab")
	want = append(want, -5)
	want = append(letters{}.EncodeOrdinary(want, long), -5)
	want = append(letters{}.EncodeOrdinary(want, "cd"), -5)
	want = append(want, 'z', -5)
	if !slices.Equal(c.Tokens, want) {
		t.Errorf("%d tokens, want %d in the files' order", len(c.Tokens), len(want))
	}
	if want := int64(len("abcdz") + len(long)); c.Bytes != want {
		t.Errorf("%d bytes, want %d", c.Bytes, want)
	}
}

func TestReadEmpty(t *testing.T) {
	if _, err := Read(context.Background(), []string{write(t, "a.txt", "")}, letters{}, 0); err == nil || !strings.Contains(err.Error(), "no text") {
		t.Errorf("an empty corpus: %v", err)
	}
}

func TestBatchesCoverTheCorpusOncePerPass(t *testing.T) {
	c := &Corpus{}
	for i := range 101 {
		c.Tokens = append(c.Tokens, int32(i))
	}
	const rows, length = 5, 10
	b, err := NewBatches(c, rows, length, 1)
	if err != nil {
		t.Fatal(err)
	}
	ids, targets := make([]int32, rows*length), make([]int32, rows*length)
	var passes [2][]int32
	for p := range passes {
		for range b.Windows() / rows {
			b.Next(ids, targets)
			passes[p] = append(passes[p], ids...)
			for i := range ids {
				if targets[i] != ids[i]+1 {
					t.Fatalf("target of %d is %d", ids[i], targets[i])
				}
			}
		}
	}
	if slices.Equal(passes[0], passes[1]) {
		t.Error("two passes have the same order")
	}
	for _, p := range passes {
		slices.Sort(p)
		if !slices.Equal(p, c.Tokens[:100]) {
			t.Errorf("a pass does not hold each token once: %v", p)
		}
	}
	if _, err := NewBatches(c, 1, 101, 1); err == nil {
		t.Error("a corpus shorter than a sequence: no error")
	}
}
