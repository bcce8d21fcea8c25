// Package tokenizer turns text into tokens and back: byte-level BPE, as DeepSeek-V3, Qwen, Llama 3 and GPT-2 have it.
//
//	tok, err := tokenizer.Load("model/tokenizer.json")
//	ids := tok.Encode(nil, "<｜User｜>Hi")      // added tokens are recognised
//	ids = tok.EncodeOrdinary(ids, untrusted)  // nothing is
//	text := tok.Decode(nil, ids, true)        // without special tokens
//
// Encoding goes through four steps. Added tokens are cut out of the text. What lies between is normalised, if the file asks for
// Unicode's NFC. Patterns cut it into pieces, roughly words. Each piece begins as bytes, and neighbours merge, the pair with the
// lowest rank first, until no pair has one.
//
// A tokenizer.json of Hugging Face is read and written. Of its many parts these are known: model BPE over bytes, with merges in
// either form and ignore_merges; normalizer null or NFC; pre-tokenizer ByteLevel, after any number of Split (behavior Isolated)
// and Digits; decoder ByteLevel; added tokens that are plain texts. Another part is an error. Ignored are the
// post-processor, which puts tokens around a text, and truncation and padding: these are up to the chat template and the caller.
// Save writes the post-processor back as it was.
//
// The patterns of DeepSeek-V3, Qwen 2 and 3, Llama 3 and GPT-2 are scanners written by hand. Others run on a backtracking
// machine, within limits on their length and time: a piece on which a pattern takes too long stays whole.
//
// Go strings may hold any bytes. One that is not UTF-8 counts as the symbol U+FFFD for the patterns, and is encoded as itself,
// so that decoding gives it back. What characters are letters follows the Unicode version of Go's package unicode, and NFC that
// of golang.org/x/text. Hugging Face's NFC is of Unicode 9, so that tokens differ where a mark added later is out of order.
//
// Train makes a tokenizer from text, with DeepSeek-V3's patterns.
package tokenizer

import (
	"time"
	"unicode/utf8"
)

// A Tokenizer turns text into tokens and back. It does not change once made, and is safe for concurrent use.
type Tokenizer struct {
	tokens  []token          // by id
	vocab   map[string]int32 // tokens of the vocabulary by their bytes
	named   map[string]int32 // added tokens, and what is not in the alphabet of bytes, by their text
	byteIDs [256]int32       // the tokens of one byte
	merges  mergeTable
	whole   pieceTable // the tokens that their bytes merge to: such a piece needs no merging
	pairs   []pair     // the merges by rank

	ignoreMerges bool // a piece in the vocabulary is its token, whatever merging would give

	nfc      bool
	raw      *trie // added tokens looked for in the text as it is
	normal   *trie // added tokens looked for once it is normalised
	splits   splitters
	sections sections // of the file, for Save
}

type token struct {
	bytes string // what it decodes to
	text  string // as in the file
	kind  tokenKind
	raw   bool // an added token that is looked for before normalisation

	inVocab bool // also if it is added
}

type tokenKind uint8

const (
	noToken      tokenKind = iota // an id that the file leaves out
	vocabToken                    // of the vocabulary
	addedToken                    // added, and part of the text
	specialToken                  // added, and not part of the text
)

// VocabSize is the highest id plus one.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// ID returns the id of an added token, or of an entry of the vocabulary as the file spells it ("Ġthe" for " the").
func (t *Tokenizer) ID(token string) (int32, bool) {
	if id, ok := t.named[token]; ok {
		return id, true
	}
	if bytes, ok := fromAlphabet(token); ok {
		id, ok := t.vocab[bytes]
		return id, ok
	}
	return 0, false
}

// Token returns a token as the file spells it, or "" if there is none with this id.
func (t *Tokenizer) Token(id int32) string {
	if !t.has(id) {
		return ""
	}
	return t.tokens[id].text
}

// Special says whether id is an added token that is flagged special.
func (t *Tokenizer) Special(id int32) bool { return t.has(id) && t.tokens[id].kind == specialToken }

func (t *Tokenizer) has(id int32) bool { return id >= 0 && int(id) < len(t.tokens) }

// Encode appends the tokens of text to dst. The texts of added tokens, special ones too, become these tokens: text from
// outside should go through EncodeOrdinary.
func (t *Tokenizer) Encode(dst []int32, text string) []int32 {
	until := timeLimit(len(text))
	token := func(id int32) { dst = append(dst, id) }
	t.raw.cut(text, func(s string) {
		t.normal.cut(t.normalise(s), func(s string) { dst = t.encode(dst, s, until) }, token)
	}, token)
	return dst
}

// EncodeOrdinary appends the tokens of text to dst, without regard to added tokens.
func (t *Tokenizer) EncodeOrdinary(dst []int32, text string) []int32 {
	return t.encode(dst, t.normalise(text), timeLimit(len(text)))
}

func (t *Tokenizer) normalise(text string) string {
	if t.nfc {
		return nfc(text)
	}
	return text
}

// encode appends the tokens of normalised text without added tokens.
func (t *Tokenizer) encode(dst []int32, text string, until time.Time) []int32 {
	t.splits.split(text, until, func(piece string) {
		if id, ok := t.whole.find(piece); ok {
			dst = append(dst, id)
			return
		}
		dst = t.merge(dst, piece)
	})
	return dst
}

// Decode appends the bytes of tokens to dst, without the special ones if skipSpecial. They are UTF-8 if the tokens came
// from Encode, all of them; a model may make others. Ids without a token give nothing.
func (t *Tokenizer) Decode(dst []byte, ids []int32, skipSpecial bool) []byte {
	for _, id := range ids {
		if t.has(id) && !(skipSpecial && t.tokens[id].kind == specialToken) {
			dst = append(dst, t.tokens[id].bytes...)
		}
	}
	return dst
}

// A Stream decodes token by token, and gives out whole characters only.
type Stream struct {
	t    *Tokenizer
	held []byte // the beginning of a character, at most three bytes
}

// Stream returns a Stream at the beginning of a text.
func (t *Tokenizer) Stream() *Stream { return &Stream{t: t} }

// Next returns the text that id completes: "" for a special token, or while a character is incomplete. A byte that cannot be
// of a character becomes U+FFFD.
func (s *Stream) Next(id int32) string {
	all := s.t.Decode(s.held, []int32{id}, true)
	end := len(all) - incomplete(all)
	text := valid(all[:end])
	s.held = append(s.held[:0], all[end:]...)
	return text
}

// Flush returns what was held back, one U+FFFD for each byte, and begins a new text.
func (s *Stream) Flush() string {
	text := valid(s.held)
	s.held = s.held[:0]
	return text
}

// incomplete returns how many bytes at the end of b are the beginning of a character.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// valid returns b with U+FFFD for each byte that is not UTF-8.
func valid(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}
