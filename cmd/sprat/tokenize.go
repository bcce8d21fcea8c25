package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"sprat/tokenizer"
)

type tokenizeCmd struct {
	Model  string `help:"A directory with tokenizer.json, or nano, the model inside this program." default:"nano" placeholder:"M"`
	Decode bool   `help:"Turn lines of ids back into text."`
}

// maxLine bounds a line of input, in bytes.
const maxLine = 1 << 28

func (c *tokenizeCmd) Run(e *env) error {
	dir, err := modelFS(c.Model)
	if err != nil {
		return err
	}
	text, err := fs.ReadFile(dir, "tokenizer.json")
	if errors.Is(err, fs.ErrNotExist) {
		return noTokenizer(c.Model)
	}
	if err != nil {
		return fmt.Errorf("model %s: %w", c.Model, err)
	}
	tok, err := tokenizer.Parse(text)
	if err != nil {
		return fmt.Errorf("model %s: tokenizer.json: %w", c.Model, err)
	}
	in := bufio.NewScanner(e.stdin)
	in.Buffer(make([]byte, 1<<16), maxLine)
	out := bufio.NewWriter(e.stdout)
	for n := 1; in.Scan(); n++ {
		line := c.encode
		if c.Decode {
			line = c.decode
		}
		s, err := line(tok, in.Text())
		if err != nil {
			return fmt.Errorf("standard input, line %d: %w", n, err)
		}
		fmt.Fprintln(out, s)
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	return out.Flush()
}

func (c *tokenizeCmd) encode(tok *tokenizer.Tokenizer, text string) (string, error) {
	var b strings.Builder
	for i, id := range tok.Encode(nil, text) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(int(id)))
	}
	return b.String(), nil
}

func (c *tokenizeCmd) decode(tok *tokenizer.Tokenizer, line string) (string, error) {
	var ids []int32
	for _, f := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil || id < 0 || int(id) >= tok.VocabSize() {
			return "", fmt.Errorf("%q is no token id: want a number under %d", f, tok.VocabSize())
		}
		ids = append(ids, int32(id))
	}
	return string(tok.Decode(nil, ids, false)), nil
}
