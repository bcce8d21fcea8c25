package data

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sprat/chat"
	"sprat/tokenizer"
)

// Prepare returns the Set that spec describes, tokenized by tok. Its shards are in spec.Dir: if the manifest there says that they
// were made from the same inputs they are used as they are, otherwise they are made and replaced all together. What it does goes to w.
func Prepare(ctx context.Context, spec *Spec, tok *tokenizer.Tokenizer, w io.Writer) (*Set, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	eos, ok := tok.ID(tokenizer.EOS)
	if !ok {
		return nil, fmt.Errorf("the tokenizer has no token %s, which ends a document", tokenizer.EOS)
	}
	made, err := newRecipe(spec, tok)
	if err != nil {
		return nil, err
	}
	p := &preparation{spec: spec, tok: tok, eos: eos, format: chat.New(tok, spec.Template), w: w}
	if spec.Loss == Assistant && !p.format.Turns() {
		return nil, fmt.Errorf("data.loss is %q, but the tokenizer has no tokens %s and %s", Assistant, tokenizer.User, tokenizer.Assistant)
	}
	if p.ramps, err = mixture(spec.sources()); err != nil {
		return nil, err
	}
	m, err := readManifest(spec.Dir)
	if err == nil && m.Made.equal(made) {
		set, err := p.open(m)
		if err == nil {
			fmt.Fprintf(w, "data: %d tokens in %s, made earlier from the same files\n", set.Tokens(), spec.Dir)
			return set, nil
		}
		fmt.Fprintf(w, "data: %v; making it again\n", err)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(w, "data: %v; making it again\n", err)
	}
	if m, err = p.make(ctx, made); err != nil {
		return nil, err
	}
	return p.open(m)
}

// preparation is a call of Prepare under way.
type preparation struct {
	spec  *Spec
	tok   *tokenizer.Tokenizer
	eos   int32
	ramps []ramp // of the sources
	w     io.Writer

	format *chat.Format
	filter *filter // for making
}

// shardPart is a shard to be made or opened.
type shardPart struct {
	record
	source *Source
	ramp   ramp
}

// parts are the shards of the run, in the order in which they are made: validation first, so that training documents which
// are there too can be left out.
func (p *preparation) parts() []shardPart {
	var list []shardPart
	sources := p.spec.sources()
	for i := range sources {
		if src := &sources[i]; len(src.Valid) > 0 || src.validates() {
			list = append(list, shardPart{record{Source: src.Name, Split: splitValid}, src, p.ramps[i]})
		}
	}
	for i := range sources {
		if src := &sources[i]; src.trains() {
			list = append(list, shardPart{record{Source: src.Name, Split: splitTrain}, src, p.ramps[i]})
		}
	}
	return list
}

// docs are the documents of a part.
func (p *preparation) docs(s *shardPart) (iter.Seq2[document, error], error) {
	valid := s.Split == splitValid
	switch {
	case len(s.source.Tasks) > 0:
		problems, err := newProblems(s.source, p.tok)
		if err != nil {
			return nil, err
		}
		if p.spec.Loss == Assistant {
			problems.format = p.format
		}
		if valid {
			return problems.valid(), nil
		}
		return problems.train(), nil
	case len(s.source.Chat) > 0 && valid:
		return chats(p.format, s.source.Valid), nil
	case len(s.source.Chat) > 0:
		return chats(p.format, s.source.Chat), nil
	case valid:
		return textDocuments(s.source.Valid), nil
	}
	return textDocuments(s.source.Files), nil
}

// make makes all shards, puts them into place, and the manifest last.
func (p *preparation) make(ctx context.Context, made recipe) (m *manifest, err error) {
	dir := p.spec.Dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("preparing data: %w", err)
	}
	var shards []*shardWriter
	defer func() {
		for _, s := range shards {
			s.discard()
		}
	}()
	if p.filter, err = p.newFilter(); err != nil {
		return nil, err
	}
	m = &manifest{Made: made}
	for _, part := range p.parts() {
		s, err := p.shard(ctx, &part)
		if err != nil {
			return nil, err
		}
		shards, m.Shards = append(shards, s), append(m.Shards, part.record)
	}
	if err := p.commit(shards, m); err != nil {
		return nil, fmt.Errorf("writing to %s: %w", dir, err)
	}
	return m, nil
}

// newFilter is the filter of the whole preparation.
func (p *preparation) newFilter() (*filter, error) {
	f := newFilter(p.spec)
	if len(p.spec.Decontaminate) == 0 {
		return f, nil
	}
	texts, short, err := f.examine(p.spec.Decontaminate)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(p.w, "data: decontamination: %d texts, %d runs of %d words", texts, len(f.grams), f.n)
	if short > 0 {
		fmt.Fprintf(p.w, "; %d texts are shorter and keep nothing out: a smaller data.decontaminate_words would take them in", short)
	}
	fmt.Fprintln(p.w)
	return f, nil
}

// commit puts the shards into place, and removes those that an earlier manifest named and m does not.
func (p *preparation) commit(shards []*shardWriter, m *manifest) error {
	var stale []string
	if old, err := readManifest(p.spec.Dir); err == nil {
		stale = old.files()
	}
	if err := os.Remove(filepath.Join(p.spec.Dir, manifestName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, s := range shards {
		if err := s.commit(); err != nil {
			return err
		}
	}
	current := m.files()
	for _, name := range stale {
		if !slices.Contains(current, name) {
			os.Remove(filepath.Join(p.spec.Dir, name)) // what stays is in nobody's way
		}
	}
	return m.write(p.spec.Dir)
}

// shard makes the shard of a part, and fills in its record.
func (p *preparation) shard(ctx context.Context, r *shardPart) (s *shardWriter, err error) {
	docs, err := p.docs(r)
	if err != nil {
		return nil, err
	}
	if s, err = createShard(filepath.Join(p.spec.Dir, r.file()), p.tok.VocabSize()); err != nil {
		return nil, fmt.Errorf("preparing data: %w", err)
	}
	defer func() {
		if err != nil {
			s.discard()
		}
	}()
	c := &coder{tok: p.tok, eos: p.eos, format: p.format, filter: p.filter.of(r)}
	if r.Split == splitTrain && r.source.FIM > 0 {
		if c.fim, err = newMiddle(r.source.FIM, p.tok); err != nil {
			return s, err
		}
	}
	show := newTicker(p.w, &r.record)
	err = inOrder(ctx, batches(docs), c.encode, func(b *batch) error {
		at := 0
		for _, e := range b.done {
			if c.filter.keep(e.features, &r.dropped) || r.Split == splitValid {
				if err := s.add(b.ids[at:e.end], e.bytes); err != nil {
					return s.failed(err)
				}
			}
			at = e.end
		}
		show.tick(s)
		return nil
	})
	if err != nil {
		return s, err
	}
	if r.Split == splitValid {
		r.dropped = dropped{} // validation text stays, whatever it is: it was only to be remembered
	}
	r.Documents, r.Tokens, r.Bytes = s.documents, s.tokens, s.bytes
	show.end(&r.record)
	if s.documents == 0 {
		return s, fmt.Errorf("source %s, %s: no text is left: nothing to learn from", r.Source, r.Split)
	}
	if err := s.finish(); err != nil {
		return s, s.failed(err)
	}
	r.Checksum = s.checksum
	return s, nil
}

// open opens the shards that m names.
func (p *preparation) open(m *manifest) (set *Set, err error) {
	set = &Set{pack: cmp.Or(p.spec.Pack, Mixed), eos: p.eos}
	defer func() {
		if err != nil {
			set.Close()
		}
	}()
	parts := p.parts()
	if len(m.Shards) != len(parts) {
		return set, fmt.Errorf("%s names %d shards, want %d", manifestName, len(m.Shards), len(parts))
	}
	for i, part := range parts {
		s, err := openShard(filepath.Join(p.spec.Dir, part.file()))
		if err != nil {
			return set, err
		}
		if part.Split == splitValid {
			set.valid = append(set.valid, &Valid{part.Source, s.tokens, s.targets, s.bytes, s, set})
		} else {
			set.sources = append(set.sources, source{part.Source, s, part.ramp, part.source.Order == File})
		}
		if s.checksum != m.Shards[i].Checksum || s.vocab != p.tok.VocabSize() {
			return set, fmt.Errorf("%s is not the shard that %s names", s.path, manifestName)
		}
	}
	return set, nil
}

// ticker shows from time to time how far a shard is.
type ticker struct {
	w    io.Writer
	what string
	last time.Time
}

// tickEvery is the time between two lines.
const tickEvery = 5 * time.Second

func newTicker(w io.Writer, r *record) *ticker {
	return &ticker{w, fmt.Sprintf("data: %s, %s", r.Source, r.Split), time.Now()}
}

func (t *ticker) tick(s *shardWriter) {
	if time.Since(t.last) >= tickEvery {
		t.last = time.Now()
		fmt.Fprintf(t.w, "%s: %.0f MB of text so far\n", t.what, float64(s.bytes)/1e6)
	}
}

func (t *ticker) end(r *record) {
	fmt.Fprintf(t.w, "%s: %d documents, %.1f MB of text, %d tokens%v\n", t.what, r.Documents, float64(r.Bytes)/1e6, r.Tokens, r.dropped)
}
