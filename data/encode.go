package data

import (
	"context"
	"iter"
	"runtime"
	"strings"

	"sprat/chat"
	"sprat/tokenizer"
)

// document is what is between two ends of documents.
type document []part

// part is text, or the beginning of a chat, or where there is neither a token of its own.
type part struct {
	text   string // of a chat, that of its messages
	chat   *prompt
	token  int32
	silent []span // of the text, in bytes and in order: what a model reads but does not learn to write
}

// prompt is a chat up to where the model answers.
type prompt struct {
	messages []chat.Message
	think    bool
}

type span struct{ from, to int }

// text is the document without its tokens.
func (d document) text() string {
	if len(d) == 1 {
		return d[0].text
	}
	var b strings.Builder
	for _, p := range d {
		b.WriteString(p.text)
	}
	return b.String()
}

// textDocuments yields the documents of files.
func textDocuments(files []string) iter.Seq2[document, error] {
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
	docs  []document
	first int64 // number of the first of them
	ids   []int32
	done  []encoded // by document
}

// encoded is what is known of a document once it is tokens.
type encoded struct {
	features
	end   int // of its tokens in the batch's ids
	bytes int // of its text, without what is silent
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
				next := &batch{first: b.first + int64(len(b.docs))} // before b changes on another goroutine
				if !yield(b, nil) {
					return
				}
				b, size = next, 0
			}
		}
		if len(b.docs) > 0 {
			yield(b, nil)
		}
	}
}

// coder makes documents tokens. It is used from several goroutines.
type coder struct {
	tok    *tokenizer.Tokenizer
	eos    int32
	format *chat.Format
	filter *filter
	fim    *middle // nil: none is rearranged
}

// encode makes b's documents tokens, each with eos after it.
func (c *coder) encode(b *batch) {
	for i, doc := range b.docs {
		e := encoded{features: c.filter.inspect(doc)}
		if c.fim != nil {
			doc = c.fim.rearrange(doc, b.first+int64(i))
		}
		if !e.contaminated {
			b.ids, e.bytes = c.append(b.ids, doc)
		}
		e.end = len(b.ids)
		b.done = append(b.done, e)
	}
	b.docs = nil
}

func (c *coder) append(dst []int32, doc document) (ids []int32, size int) {
	for _, p := range doc {
		switch {
		case p.chat != nil:
			var n int
			dst, n = c.prompt(dst, p.chat)
			size += n
			continue
		case p.text == "":
			dst = append(dst, p.token)
			continue
		}
		start := len(dst)
		dst = c.tok.EncodeOrdinary(dst, p.text)
		size += len(p.text)
		if len(p.silent) > 0 {
			size -= c.silence(dst[start:], p.silent)
		}
	}
	return append(dst, c.eos), size
}

// prompt appends a chat, of which a model learns what it said itself, and returns how many bytes that has.
func (c *coder) prompt(dst []int32, p *prompt) (ids []int32, size int) {
	ids, said := c.format.EncodeSaid(p.messages, p.think)
	for _, m := range p.messages {
		if m.Role == chat.Assistant {
			size += len(m.Text)
		}
	}
	for i, id := range ids {
		for len(said) > 0 && said[0].To <= i {
			said = said[1:]
		}
		if len(said) == 0 || i < said[0].From {
			id |= noTarget
		}
		dst = append(dst, id)
	}
	return dst, size
}

// silence marks the tokens that have a byte in a span, and returns how many bytes these tokens have.
func (c *coder) silence(ids []int32, spans []span) (size int) {
	at := 0
	var text []byte
	for i, id := range ids {
		text = c.tok.Decode(text[:0], ids[i:i+1], false)
		end := at + len(text)
		for len(spans) > 0 && spans[0].to <= at {
			spans = spans[1:]
		}
		if len(spans) > 0 && spans[0].from < end {
			ids[i] = id | noTarget
			size += len(text)
		}
		at = end
	}
	return size
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
			if failed = err; failed == nil {
				failed = ctx.Err()
			}
			if failed != nil {
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
