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
// or .zst. A .parquet file has one a row, the string in the column named text. Reading stops at the first error, which is
// yielded with an empty document.
func Docs(path string) iter.Seq2[string, error] { return docs(path, textOf) }

// docs is Docs where a line of a .jsonl file holds what ofLine passes on.
func docs(path string, ofLine lineReader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := readDocs(path, ofLine, func(doc string) bool { return doc == "" || yield(doc, nil) })
		if err != nil {
			yield("", fmt.Errorf("reading %s: %w", path, err))
		}
	}
}

// Lines yields the lines of a .jsonl file, which may end in .gz or .zst too, but for empty ones. Reading stops at the first error.
func Lines(path string) iter.Seq2[string, error] {
	return docs(path, func(line []byte, yield func(string) bool) (bool, error) { return yield(string(line)), nil })
}

// lineReader passes the texts in a line of a .jsonl file on to yield, and tells whether yield wants more.
type lineReader func(line []byte, yield func(string) bool) (more bool, err error)

func readDocs(path string, ofLine lineReader, yield func(string) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return errors.Unwrap(err) // the path is in the message already
	}
	defer f.Close()
	if strings.HasSuffix(path, ".parquet") {
		return readParquet(f, yield)
	}
	r, name, err := decompress(f, path)
	if err != nil {
		return err
	}
	defer r.Close()
	switch {
	case strings.HasSuffix(name, ".txt"):
		return readText(r, yield)
	case strings.HasSuffix(name, ".jsonl"):
		return readLines(r, ofLine, yield)
	}
	return errors.New("want a name that ends in .txt or .jsonl, or either with .gz or .zst after it, or in .parquet")
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

func readText(r io.Reader, yield func(string) bool) error {
	buf, held := make([]byte, maxText), 0
	for {
		n, err := r.Read(buf[held:])
		held += n
		switch {
		case err == io.EOF:
			yield(string(buf[:held]))
			return nil
		case err != nil:
			return err
		case held == len(buf):
			end := cutText(buf)
			if !yield(string(buf[:end])) {
				return nil
			}
			held = copy(buf, buf[end:])
		}
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

func readLines(r io.Reader, ofLine lineReader, yield func(string) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		more, err := ofLine(lines.Bytes(), yield)
		if err != nil && lines.Err() != nil {
			break // the line is the beginning of one that could not be read
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if !more {
			return nil
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("a line is longer than %d MiB: make it several documents", maxLine>>20)
	} else if err != nil {
		return err
	}
	return nil
}

// textOf is the string under the key "text".
func textOf(line []byte, yield func(string) bool) (more bool, err error) {
	var record struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(line, &record); err != nil {
		return false, err
	}
	if record.Text == nil {
		return false, errors.New(`it has no string under the key "text"`)
	}
	return yield(*record.Text), nil
}

// stringsOf are all strings that a line has as values.
func stringsOf(line []byte, yield func(string) bool) (more bool, err error) {
	var v any
	if err := json.Unmarshal(line, &v); err != nil {
		return false, err
	}
	return eachString(v, yield), nil
}

func eachString(v any, yield func(string) bool) (more bool) {
	switch v := v.(type) {
	case string:
		return yield(v)
	case []any:
		for _, x := range v {
			if !eachString(x, yield) {
				return false
			}
		}
	case map[string]any:
		for _, x := range v {
			if !eachString(x, yield) {
				return false
			}
		}
	}
	return true
}
