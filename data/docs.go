// Package data turns files of text into batches of tokens.
//
// Docs reads documents; a Corpus holds their tokens; Batches deals out training batches from it in a fixed, shuffled order.
package data

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxDocument bounds one document, in bytes: a line of a .jsonl file, or a whole .txt file.
const maxDocument = 1 << 30

// zstdWindow is the largest decoder window granted to a file; zstd --long=27 needs all of it.
const zstdWindow = 1 << 27

// Docs yields the documents of a file in order. A .txt file is one document; a .jsonl file has one a line, the string under
// the key "text". Either may end in .gz or .zst. Reading stops at the first error, which is yielded with an empty document.
func Docs(path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := readDocs(path, func(doc string) bool { return yield(doc, nil) }); err != nil {
			yield("", err)
		}
	}
}

func readDocs(path string, yield func(string) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading training text: %w", err)
	}
	defer f.Close()
	r, name, err := decompress(f, path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	defer r.Close()
	switch {
	case strings.HasSuffix(name, ".txt"):
		text, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if len(text) > maxDocument {
			return fmt.Errorf("reading %s: longer than %d bytes: split it, or make it .jsonl", path, maxDocument)
		}
		if len(text) > 0 {
			yield(string(text))
		}
		return nil
	case strings.HasSuffix(name, ".jsonl"):
		return readLines(r, path, yield)
	}
	return fmt.Errorf("reading %s: want a name that ends in .txt or .jsonl, or either with .gz or .zst after it", path)
}

// decompress returns a reader of f's content, and path without the ending that said how it was compressed.
func decompress(f *os.File, path string) (io.ReadCloser, string, error) {
	if name, ok := strings.CutSuffix(path, ".gz"); ok {
		r, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
		return r, name, err
	}
	if name, ok := strings.CutSuffix(path, ".zst"); ok {
		r, err := zstd.NewReader(f, zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, "", err
		}
		return r.IOReadCloser(), name, nil
	}
	return io.NopCloser(f), path, nil
}

func readLines(r io.Reader, path string, yield func(string) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxDocument)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var record struct {
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			return fmt.Errorf("reading %s: line %d: %w", path, n, err)
		}
		if record.Text == nil {
			return fmt.Errorf("reading %s: line %d has no string under the key \"text\"", path, n)
		}
		if *record.Text != "" && !yield(*record.Text) {
			return nil
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("reading %s: a line is longer than %d bytes", path, maxDocument)
	} else if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
