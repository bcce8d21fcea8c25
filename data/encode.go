package data

import (
	"context"
	"iter"
	"runtime"

	"sprat/tokenizer"
)

// document is what is between two ends of documents.
type document []part

// part is text, or where that is empty a token of its own.
type part struct {
	text  string
	token int32
}

// text yields the documents of files.
func text(files []string) iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		for _, path := range files {
			for doc, err := range Docs(path) {
				if !yield(document{{text: doc}}, err) || err != nil {
					return
				}
			}
		}
	}
}

// batchBytes is the text that one goroutine tokenizes at a time, at least.
const batchBytes = 1 << 20

// batch is documents that follow one another, and what becomes of them.
type batch struct {
	docs []document
	ids  []int32
	done []encoded // by document
}

// encoded is what is known of a document once it is tokens.
type encoded struct {
	end   int // of its tokens in the batch's ids
	bytes int // of its text
}

// batches cuts docs into batches.
func batches(docs iter.Seq2[document, error]) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		b, size := &batch{}, 0
		for doc, err := range docs {
			if err != nil {
				yield(nil, err)
				return
			}
			b.docs = append(b.docs, doc)
			for _, p := range doc {
				size += len(p.text) + 1
			}
			if size >= batchBytes {
				if !yield(b, nil) {
					return
				}
				b, size = &batch{}, 0
			}
		}
		if len(b.docs) > 0 {
			yield(b, nil)
		}
	}
}

// encode makes the documents tokens, each with eos after it.
func (b *batch) encode(tok *tokenizer.Tokenizer, eos int32) {
	for _, doc := range b.docs {
		var e encoded
		for _, p := range doc {
			if p.text == "" {
				b.ids = append(b.ids, p.token)
				continue
			}
			b.ids = tok.EncodeOrdinary(b.ids, p.text)
			e.bytes += len(p.text)
		}
		b.ids = append(b.ids, eos)
		e.end = len(b.ids)
		b.done = append(b.done, e)
	}
	b.docs = nil
}

// inOrder calls work for what in yields, on all cores, and out for each when its turn in in's order has come. It returns the
// first error of in or out.
func inOrder[T any](ctx context.Context, in iter.Seq2[T, error], work func(T), out func(T) error) error {
	type job struct {
		value T
		done  chan struct{}
	}
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan job, runtime.GOMAXPROCS(0))
	defer func() {
		cancel()
		for range queue { // until the reader below has gone
		}
	}()
	var failed error // read once queue is closed
	go func() {
		defer close(queue)
		for value, err := range in {
			if failed = err; failed != nil {
				return
			}
			j := job{value, make(chan struct{})}
			select {
			case queue <- j:
			case <-ctx.Done():
				failed = ctx.Err()
				return
			}
			go func() {
				defer close(j.done)
				work(value)
			}()
		}
	}()
	for j := range queue {
		<-j.done
		if err := out(j.value); err != nil {
			return err
		}
	}
	return failed
}
