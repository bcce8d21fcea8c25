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
	"github.com/parquet-go/parquet-go"
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
		{"a.jsonl", `{"body":"x"}`, `line 1: it has no string under the key "text"`},
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
	for _, name := range []string{"a.jsonl.gz", "a.jsonl.zst", "a.txt.gz", "a.txt.zst"} {
		path := write(t, name, strings.Repeat(`{"text":"good"}`+"\n", 100))
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, b[:len(b)-9], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		var failed error
		for _, err := range Docs(path) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), "unexpected EOF") {
			t.Errorf("%s that is cut: error %v", name, failed)
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

// parquetFile writes rows as a parquet file.
func parquetFile[T any](t *testing.T, rows []T, options ...parquet.WriterOption) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := parquet.WriteFile(path, rows, options...); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParquet(t *testing.T) {
	type row struct {
		ID   int
		Text *string `parquet:"text,optional,zstd"`
	}
	var rows []row
	var want []string
	for i := range 1000 {
		text := strings.Repeat("text ", i%5)
		rows = append(rows, row{ID: i})
		if i%7 > 0 {
			rows[i].Text = &text
		}
		if i%7 > 0 && text != "" {
			want = append(want, text)
		}
	}
	path := parquetFile(t, rows, parquet.MaxRowsPerRowGroup(300), parquet.PageBufferSize(256))
	var got []string
	for doc, err := range Docs(path) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, doc)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
	}
	for range Docs(path) {
		break // closes what it opened
	}
	for name, path := range map[string]string{
		"another column": parquetFile(t, []struct{ Body string }{{"x"}}),
		"numbers": parquetFile(t, []struct {
			Text int `parquet:"text"`
		}{{1}}),
		"lists": parquetFile(t, []struct {
			Text []string `parquet:"text"`
		}{{[]string{"x"}}}),
		"no parquet": write(t, "a.parquet", "PAR1 is not enough"),
	} {
		var failed error
		for _, err := range Docs(path) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), path) || strings.Contains(failed.Error(), "\n") {
			t.Errorf("%s: error %v", name, failed)
		}
	}
}

// TestDamagedParquet: a file with any byte changed, or cut anywhere, is read or is an error.
func TestDamagedParquet(t *testing.T) {
	type row struct {
		Text string `parquet:"text"`
	}
	path := parquetFile(t, []row{{"one"}, {"two"}, {"three"}})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	try := func(b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, err := range Docs(path) {
			if err != nil {
				failed++
			}
		}
	}
	for i := range good {
		b := slices.Clone(good)
		b[i] ^= 0x55
		try(b)
		try(good[:i])
	}
	if failed < len(good) {
		t.Errorf("%d errors in %d damaged files", failed, 2*len(good))
	}
}

// FuzzDocs: any bytes are documents or one error, under every name.
func FuzzDocs(f *testing.F) {
	f.Add([]byte(`{"text":"one"}`), uint8(1))
	f.Add([]byte("one\ntwo"), uint8(0))
	f.Add([]byte("PAR1PAR1"), uint8(6))
	names := []string{"a.txt", "a.jsonl", "a.txt.gz", "a.jsonl.gz", "a.txt.zst", "a.jsonl.zst", "a.parquet"}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, which uint8) {
		path := filepath.Join(dir, names[int(which)%len(names)])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var failed error
		for doc, err := range Docs(path) {
			if failed != nil || (err == nil) == (doc == "") {
				t.Fatalf("document %q, error %v after %v", doc, err, failed)
			}
			failed = err
		}
	})
}
