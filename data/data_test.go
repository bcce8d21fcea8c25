package data

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

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

func TestLongTextIsCut(t *testing.T) {
	lines := strings.Repeat("a line that is not too short\n", 3*maxText/29)
	solid := strings.Repeat("語", maxText/2)
	for _, text := range []string{lines, solid, "", "x"} {
		got := ""
		for doc, err := range Docs(write(t, "a.txt", text)) {
			if err != nil {
				t.Fatal(err)
			}
			if doc == "" || len(doc) > maxText || !utf8.ValidString(doc) {
				t.Fatalf("a document of %d bytes", len(doc))
			}
			got += doc
			if text == lines && !strings.HasSuffix(doc, "\n") {
				t.Error("cut within a line")
			}
		}
		if got != text {
			t.Errorf("%d bytes of text became %d", len(text), len(got))
		}
	}
}
