package data

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
)

// Encoder is what a Corpus needs of a tokenizer. It is used from several goroutines.
type Encoder interface {
	EncodeOrdinary(dst []int32, text string) []int32
}

// Corpus is documents as one run of tokens, each followed by the end-of-text token.
type Corpus struct {
	Tokens []int32
	Bytes  int64 // of the text, for bits per byte
}

// Read tokenizes the documents of files, in order, on all cores. A file named twice is there twice.
func Read(ctx context.Context, files []string, enc Encoder, eos int32) (*Corpus, error) {
	c := &Corpus{}
	for _, path := range files {
		if err := c.append(ctx, path, enc, eos); err != nil {
			return nil, err
		}
	}
	if len(c.Tokens) == 0 {
		return nil, fmt.Errorf("no text in %v: nothing to learn from", files)
	}
	return c, nil
}

// chunk is the text that one goroutine tokenizes at a time, in bytes, at least.
const chunk = 1 << 20

func (c *Corpus) append(ctx context.Context, path string, enc Encoder, eos int32) error {
	var (
		wg      sync.WaitGroup
		results []*[]int32
		batch   []string
		size    int
		slots   = make(chan struct{}, runtime.GOMAXPROCS(0))
	)
	encode := func(docs []string, to *[]int32) {
		defer wg.Done()
		for _, d := range docs {
			*to = append(enc.EncodeOrdinary(*to, d), eos)
		}
		<-slots
	}
	flush := func() {
		to := new([]int32)
		results = append(results, to)
		slots <- struct{}{}
		wg.Add(1)
		go encode(batch, to)
		batch, size = nil, 0
	}
	defer wg.Wait()
	for doc, err := range Docs(path) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		batch = append(batch, doc)
		c.Bytes += int64(len(doc))
		if size += len(doc); size >= chunk {
			flush()
		}
	}
	if len(batch) > 0 {
		flush()
	}
	wg.Wait()
	for _, r := range results {
		c.Tokens = append(c.Tokens, *r...)
	}
	return nil
}

// Batches deals windows of length+1 tokens, which do not overlap, in an order shuffled anew for each pass over the corpus.
type Batches struct {
	corpus       *Corpus
	rows, length int
	seed         uint64
	windows      int
	order        []int
	next, epoch  int
}

// NewBatches makes batches of rows windows. The same seed gives the same batches.
func NewBatches(c *Corpus, rows, length int, seed uint64) (*Batches, error) {
	b := &Batches{corpus: c, rows: rows, length: length, seed: seed, windows: (len(c.Tokens) - 1) / length}
	if b.windows < 1 {
		return nil, fmt.Errorf("the corpus has %d tokens, fewer than one sequence of %d: give more text or a smaller train.sequence", len(c.Tokens), length)
	}
	b.shuffle()
	return b, nil
}

func (b *Batches) shuffle() {
	b.order = rand.New(rand.NewPCG(b.seed, uint64(b.epoch))).Perm(b.windows)
	b.next = 0
}

// Next fills ids and targets, rows·length each: targets are ids shifted by one.
func (b *Batches) Next(ids, targets []int32) {
	for r := range b.rows {
		if b.next == len(b.order) {
			b.epoch++
			b.shuffle()
		}
		at := b.order[b.next] * b.length
		b.next++
		copy(ids[r*b.length:(r+1)*b.length], b.corpus.Tokens[at:])
		copy(targets[r*b.length:(r+1)*b.length], b.corpus.Tokens[at+1:])
	}
}

// Windows is the number of windows in one pass over the corpus.
func (b *Batches) Windows() int { return b.windows }
