package tokenizer

import (
	"fmt"
	"strings"
)

// build makes the Tokenizer that f describes.
func build(f *file) (*Tokenizer, error) {
	if err := f.Model.check(); err != nil {
		return nil, err
	}
	t := &Tokenizer{
		vocab:    make(map[string]int32, len(f.Model.Vocab)),
		named:    make(map[string]int32, len(f.AddedTokens)),
		raw:      newTrie(),
		normal:   newTrie(),
		sections: f.sections,

		ignoreMerges: f.Model.IgnoreMerges,
	}
	var err error
	if t.nfc, err = parseNormalizer(f.Normalizer); err != nil {
		return nil, err
	}
	if t.splits, err = parsePreTokenizer(f.PreTokenizer); err != nil {
		return nil, err
	}
	if err := checkDecoder(f.Decoder); err != nil {
		return nil, err
	}
	if err := t.addVocab(f); err != nil {
		return nil, err
	}
	for _, a := range f.AddedTokens {
		if err := t.addAdded(a); err != nil {
			return nil, err
		}
	}
	if err := t.addMerges(&f.Model); err != nil {
		return nil, err
	}
	t.findWhole()
	return t, nil
}

// addVocab fills in the tokens of the vocabulary.
func (t *Tokenizer) addVocab(f *file) error {
	size, err := tableSize(f)
	if err != nil {
		return err
	}
	t.tokens = make([]token, size)
	for text, id := range f.Model.Vocab {
		if t.tokens[id].kind != noToken {
			return fmt.Errorf("tokens %.80q and %.80q have the same id %d", t.tokens[id].text, text, id)
		}
		t.tokens[id] = token{text: text, bytes: text, kind: vocabToken, inVocab: true}
		if bytes, ok := fromAlphabet(text); ok {
			t.tokens[id].bytes = bytes
			t.vocab[bytes] = id
		} else {
			t.named[text] = id
		}
	}
	for b := range t.byteIDs {
		id, ok := t.vocab[string([]byte{byte(b)})]
		if !ok {
			return fmt.Errorf("the vocabulary has no token %q for byte %#02x: this is no byte-level BPE", byteToRune[b], b)
		}
		t.byteIDs[b] = id
	}
	return nil
}

// tableSize returns the highest id plus one. Ids may have gaps, but not such that a table of them dwarfs the file.
func tableSize(f *file) (int, error) {
	most := int32(min(2*(len(f.Model.Vocab)+len(f.AddedTokens))+1024, 1<<30))
	size := int32(0)
	for text, id := range f.Model.Vocab {
		if id < 0 || id >= most {
			return 0, fmt.Errorf("token %.80q has id %d: ids are from 0 to %d in a file of this many tokens", text, id, most-1)
		}
		size = max(size, id+1)
	}
	for _, a := range f.AddedTokens {
		if a.ID < 0 || a.ID >= most {
			return 0, fmt.Errorf("token %.80q has id %d: ids are from 0 to %d in a file of this many tokens", a.Content, a.ID, most-1)
		}
		size = max(size, a.ID+1)
	}
	return int(size), nil
}

// addAdded enters an added token, which may be of the vocabulary as well.
func (t *Tokenizer) addAdded(a addedEntry) error {
	switch old := t.tokens[a.ID]; {
	case a.Content == "":
		return fmt.Errorf("added token %d is empty", a.ID)
	case a.SingleWord || a.LStrip || a.RStrip:
		return fmt.Errorf("added token %.80q has single_word, lstrip or rstrip, which are not supported", a.Content)
	case old.kind != noToken && old.text != a.Content:
		return fmt.Errorf("tokens %.80q and %.80q have the same id %d", old.text, a.Content, a.ID)
	case old.inVocab && old.bytes != a.Content:
		return fmt.Errorf("added token %.80q is in the vocabulary, where it stands for %.80q", a.Content, old.bytes)
	case a.Special && old.inVocab && len(old.bytes) == 1:
		return fmt.Errorf("special token %.80q is also a byte", a.Content)
	}
	if id, ok := t.ID(a.Content); ok && id != a.ID {
		return fmt.Errorf("token %.80q has two ids, %d and %d", a.Content, id, a.ID)
	}
	tok := &t.tokens[a.ID]
	tok.text, tok.bytes, tok.kind, tok.raw = a.Content, a.Content, addedToken, !a.Normalized
	if a.Special {
		tok.kind = specialToken
	}
	t.named[a.Content] = a.ID
	if a.Normalized {
		t.normal.add(t.normalise(a.Content), a.ID)
	} else {
		t.raw.add(a.Content, a.ID)
	}
	return nil
}

// addMerges fills in the merges. None may make a special token: ordinary text must not.
func (t *Tokenizer) addMerges(m *modelEntry) error {
	t.merges = newMergeTable(len(m.Merges))
	t.pairs = make([]pair, len(m.Merges))
	for rank, merge := range m.Merges {
		left, ok1 := m.Vocab[merge.left]
		right, ok2 := m.Vocab[merge.right]
		id, ok3 := m.Vocab[merge.left+merge.right]
		switch {
		case !ok1 || !ok2 || !ok3:
			return fmt.Errorf("merge %d, %.80q and %.80q: one of them or the two together are not in the vocabulary", rank, merge.left, merge.right)
		case strings.Contains(merge.left+merge.right, " "):
			return fmt.Errorf("merge %d, %.80q and %.80q, has a space: this is no byte-level BPE", rank, merge.left, merge.right)
		case t.tokens[id].kind == specialToken:
			return fmt.Errorf("merge %d makes %.80q, which is a special token", rank, t.tokens[id].text)
		}
		t.pairs[rank] = pair{left, right}
		t.merges.set(t.pairs[rank], int32(rank), id)
	}
	return nil
}

// findWhole fills in the tokens that merging their bytes leads to.
func (t *Tokenizer) findWhole() {
	t.whole = newPieceTable(len(t.vocab))
	var ids []int32
	for bytes, id := range t.vocab {
		if t.tokens[id].kind != vocabToken || bytes == "" {
			continue
		}
		if ids = t.merge(ids[:0], bytes); t.ignoreMerges || len(ids) == 1 {
			t.whole.set(bytes, id)
		}
	}
}
