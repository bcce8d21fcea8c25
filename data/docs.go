package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// maxLine bounds a line of a .jsonl file, in bytes.
const maxLine = 64 << 20

// maxText is the size of the pieces that a long .txt file is cut into, in bytes.
const maxText = 4 << 20

// zstdWindow is the largest decoder window granted to a file; zstd --long=27 needs all of it.
const zstdWindow = 1 << 27

// Docs yields the documents of a file in order, none of them empty. A .txt file is one document, or several where it is longer
// than 4 MiB: then it is cut after a line. A .jsonl file has one a line, the string under the key "text". Either may end in .gz
// or .zst. Reading stops at the first error, which is yielded with an empty document.
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
		return readText(r, path, yield)
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

func readText(r io.Reader, path string, yield func(string) bool) error {
	buf, held := make([]byte, maxText), 0
	for {
		n, err := io.ReadFull(r, buf[held:])
		end := held + n
		if err == nil {
			end = cutText(buf)
		} else if err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if end > 0 && !yield(string(buf[:end])) || err != nil {
			return nil
		}
		held = copy(buf, buf[end:])
	}
}

// cutText is where to cut text that goes on: after its last line, or where a character begins if it has no lines.
func cutText(text []byte) int {
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		return i + 1
	}
	for i := len(text) - 1; i > len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			return i
		}
	}
	return len(text)
}

func readLines(r io.Reader, path string, yield func(string) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
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
		return fmt.Errorf("reading %s: a line is longer than %d MiB: make it several documents", path, maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
