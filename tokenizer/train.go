package tokenizer

import (
	"encoding/json"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// TrainOptions says what Train makes.
type TrainOptions struct {
	VocabSize     int      // tokens in all, special ones and the 256 bytes included; fewer if the texts run out of pairs
	SpecialTokens []string // ids 0, 1, …; no part of the text
	AddedTokens   []string // the ids after them; part of the text
	SingleDigits  bool     // one digit a token, instead of up to three
	Workers       int      // goroutines that count; 0 means one for each processor
}

// maxTrained is the most tokens that Train makes: far above any published vocabulary.
const maxTrained = 1 << 20

// Train makes a byte-level BPE of the texts in docs: it cuts them as DeepSeek-V3 does, counts the pieces, then joins the
// commonest pair of neighbouring tokens until there are VocabSize. Of equally common pairs the one with the smaller left id
// goes first, then the one with the smaller right id. So the result depends on the texts alone, not on their order or on the
// number of workers. Hugging Face's BpeTrainer breaks ties in the same way. Memory grows with the number of different pieces,
// not with the texts: those are let go as they are counted.
func Train(docs iter.Seq[string], opt TrainOptions) (*Tokenizer, error) {
	if least := 256 + len(opt.SpecialTokens) + len(opt.AddedTokens); opt.VocabSize < least || opt.VocabSize > maxTrained {
		return nil, fmt.Errorf("vocabulary of %d tokens: it wants %d to %d, as each byte and special or added token is one", opt.VocabSize, least, maxTrained)
	}
	f, err := untrained(opt)
	if err != nil {
		return nil, err
	}
	t, err := build(f)
	if err != nil {
		return nil, err
	}
	m := newMerger(t, countPieces(docs, t.splits, opt.Workers))
	for len(m.texts) < opt.VocabSize && m.step() {
	}
	for id, text := range m.texts {
		f.Model.Vocab[text] = int32(id)
	}
	for _, p := range m.merges {
		f.Model.Merges = append(f.Model.Merges, mergeEntry{m.texts[p.left], m.texts[p.right]})
	}
	return build(f)
}

// untrained returns a tokenizer.json with the special and added tokens and the bytes, these in the order of their characters.
func untrained(opt TrainOptions) (*file, error) {
	type object = map[string]any
	split := func(pattern string) object {
		return object{"type": "Split", "pattern": object{"Regex": pattern}, "behavior": "Isolated", "invert": false}
	}
	numbers := patternNumber3
	if opt.SingleDigits {
		numbers = patternNumber
	}
	byteLevel := object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}
	steps := []object{split(numbers), split(patternCJK), split(patternWords), byteLevel}
	f := &file{Model: modelEntry{Type: "BPE", Vocab: vocabulary{}}}
	var err error
	if f.PreTokenizer, err = json.Marshal(object{"type": "Sequence", "pretokenizers": steps}); err != nil {
		return nil, err
	}
	if f.Decoder, err = json.Marshal(byteLevel); err != nil {
		return nil, err
	}
	for i, text := range slices.Concat(opt.SpecialTokens, opt.AddedTokens) {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("special or added token %.80q is not UTF-8, which a tokenizer.json is", text)
		}
		f.Model.Vocab[text] = int32(i)
		f.AddedTokens = append(f.AddedTokens, addedEntry{ID: int32(i), Content: text, Special: i < len(opt.SpecialTokens)})
	}
	alphabet := slices.Sorted(slices.Values(byteToRune[:]))
	for i, r := range alphabet {
		f.Model.Vocab[string(r)] = int32(len(f.AddedTokens) + i)
	}
	return f, nil
}

// batchBytes is how much text a worker takes at a time.
const batchBytes = 1 << 20

// countPieces counts the pieces of all documents.
func countPieces(docs iter.Seq[string], splits splitters, workers int) map[string]int64 {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	batches := make(chan []string, workers)
	counts := make([]map[string]*int64, workers)
	var wg sync.WaitGroup
	for w := range workers {
		counts[w] = map[string]*int64{}
		wg.Go(func() {
			for batch := range batches {
				countBatch(counts[w], splits, batch)
			}
		})
	}
	var batch []string
	size := 0
	for doc := range docs {
		batch, size = append(batch, doc), size+len(doc)
		if size >= batchBytes {
			batches <- batch
			batch, size = nil, 0
		}
	}
	batches <- batch
	close(batches)
	wg.Wait()
	total := make(map[string]int64, len(counts[0]))
	for _, some := range counts {
		for piece, n := range some {
			total[piece] += *n
		}
	}
	return total
}

// countBatch adds the pieces of docs to counts, by scanners that know no time. A piece is copied once, so that it does not hold
// on to its document.
func countBatch(counts map[string]*int64, splits splitters, docs []string) {
	for _, doc := range docs {
		splits.split(doc, time.Time{}, func(piece string) {
			if n := counts[piece]; n != nil {
				*n++
				return
			}
			one := int64(1)
			counts[strings.Clone(piece)] = &one
		})
	}
}
