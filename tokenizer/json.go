package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sprat/atomicfile"
)

// sections are the parts of a tokenizer.json that Save writes as they were read.
type sections struct {
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
}

// file is a tokenizer.json.
type file struct {
	Version     string          `json:"version"`
	Truncation  json.RawMessage `json:"truncation"`
	Padding     json.RawMessage `json:"padding"`
	AddedTokens []addedEntry    `json:"added_tokens"`
	sections
	Model modelEntry `json:"model"`
}

type addedEntry struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type modelEntry struct {
	Type         string     `json:"type"`
	Dropout      float64    `json:"dropout,omitempty"`
	Prefix       string     `json:"continuing_subword_prefix,omitempty"`
	Suffix       string     `json:"end_of_word_suffix,omitempty"`
	ByteFallback bool       `json:"byte_fallback"`
	IgnoreMerges bool       `json:"ignore_merges"`
	Vocab        vocabulary `json:"vocab"`
	Merges       merges     `json:"merges"`
}

// A vocabulary has the ids of tokens, and is written in their order.
type vocabulary map[string]int32

func (v vocabulary) MarshalJSON() ([]byte, error) {
	texts := slices.SortedFunc(maps.Keys(v), func(a, b string) int { return cmp.Compare(v[a], v[b]) })
	out := []byte{'{'}
	for i, text := range texts {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		out = append(append(out, key...), ':')
		out = strconv.AppendInt(out, int64(v[text]), 10)
	}
	return append(out, '}'), nil
}

// merges are lists of "a b", or of ["a","b"].
type merges []mergeEntry

type mergeEntry struct{ left, right string }

func (m *merges) UnmarshalJSON(data []byte) error {
	var lines []string
	if json.Unmarshal(data, &lines) == nil {
		*m = make(merges, len(lines))
		for i, line := range lines {
			left, right, ok := strings.Cut(line, " ")
			if !ok || strings.Contains(right, " ") {
				return fmt.Errorf("merge %.80q wants two tokens with one space between", line)
			}
			(*m)[i] = mergeEntry{left, right}
		}
		return nil
	}
	var both [][]string
	if err := json.Unmarshal(data, &both); err != nil {
		return err
	}
	*m = make(merges, len(both))
	for i, b := range both {
		if len(b) != 2 {
			return fmt.Errorf("merge %d has %d parts, and wants 2", i, len(b))
		}
		(*m)[i] = mergeEntry{b[0], b[1]}
	}
	return nil
}

// MarshalText gives the older form, which every version reads: a byte-level token holds no space.
func (m mergeEntry) MarshalText() ([]byte, error) { return []byte(m.left + " " + m.right), nil }

// Load reads a tokenizer.json.
func Load(path string) (*Tokenizer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a tokenizer: %w", err)
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Parse makes a Tokenizer from the content of a tokenizer.json. A component that it does not know is an error, never
// passed over; the package's introduction says what is left to the caller.
func Parse(data []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	return build(&f)
}

func (m *modelEntry) check() error {
	switch {
	case m.Type != "BPE" && !(m.Type == "" && m.Merges != nil):
		return fmt.Errorf("model type %q is not supported, only BPE", m.Type)
	case m.ByteFallback:
		return errors.New("byte_fallback is not supported: this is no byte-level BPE")
	case m.Prefix != "":
		return fmt.Errorf("continuing_subword_prefix %.80q is not supported", m.Prefix)
	case m.Suffix != "":
		return fmt.Errorf("end_of_word_suffix %.80q is not supported", m.Suffix)
	case m.Dropout != 0:
		return fmt.Errorf("dropout %g is not supported", m.Dropout)
	}
	return nil
}

// Save writes a tokenizer.json that Hugging Face's tokenizers load, and that gives the same tokens there. The directory is
// made if it is absent. The file appears whole or not at all.
func (t *Tokenizer) Save(path string) error {
	data, err := t.JSON()
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := atomicfile.Write(path, data); err != nil {
		return fmt.Errorf("writing %s, what was there is unchanged: %w", path, err)
	}
	return nil
}

// JSON returns the content of the tokenizer.json that Save writes.
func (t *Tokenizer) JSON() ([]byte, error) {
	f := file{Version: "1.0", sections: t.sections, Model: modelEntry{Type: "BPE", IgnoreMerges: t.ignoreMerges}}
	f.Model.Vocab = make(vocabulary, len(t.tokens))
	for id, tok := range t.tokens {
		if tok.inVocab {
			f.Model.Vocab[tok.text] = int32(id)
		}
		if tok.kind == addedToken || tok.kind == specialToken {
			f.AddedTokens = append(f.AddedTokens, addedEntry{
				ID: int32(id), Content: tok.text, Normalized: !tok.raw, Special: tok.kind == specialToken,
			})
		}
	}
	f.Model.Merges = make(merges, len(t.pairs))
	for i, p := range t.pairs {
		f.Model.Merges[i] = mergeEntry{t.tokens[p.left].text, t.tokens[p.right].text}
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(f)
	return text.Bytes(), err
}
