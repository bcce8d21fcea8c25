package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"iter"
	"math/rand/v2"

	"sprat/chat"
	"sprat/tasks"
	"sprat/tokenizer"
)

// problems are a source's generated documents.
type problems struct {
	source  *Source
	mixture tasks.Mixture
	seed    uint64
	markers map[tasks.Kind]int32
	format  *chat.Format // nil: documents are text with markers
}

// heldOut is how many problems of each family are a generated source's validation text.
const heldOut = 100

func newProblems(s *Source, tok *tokenizer.Tokenizer) (*problems, error) {
	p := &problems{source: s, mixture: s.mixture(), seed: s.seed(), markers: map[tasks.Kind]int32{}}
	for kind, text := range map[tasks.Kind]string{
		tasks.User: tasks.UserMarker, tasks.Assistant: tasks.AssistantMarker, tasks.Think: tasks.ThinkMarker, tasks.EndThink: tasks.EndThinkMarker,
	} {
		id, ok := tok.ID(text)
		if !ok {
			return nil, fmt.Errorf("source %s: the tokenizer has no token %s, which problems need: train one anew, or leave tasks out", s.Name, text)
		}
		p.markers[kind] = id
	}
	return p, nil
}

// mixture is what tasks makes of the source's keys. A family named twice is twice as frequent.
func (s *Source) mixture() tasks.Mixture {
	m := tasks.Mixture{End: 1, Documents: s.Documents, Plain: s.Plain}
	if len(s.Difficulty) == 2 {
		m.Start, m.End = s.Difficulty[0], s.Difficulty[1]
	}
	if len(s.Tasks) == 1 && s.Tasks[0] == allTasks {
		return m
	}
	m.Weights = map[string]float64{}
	for _, name := range s.Tasks {
		m.Weights[name]++
	}
	return m
}

// allTasks stands for every family of tasks.
const allTasks = "all"

// validates tells whether any family in the mixture has held-out problems.
func (s *Source) validates() bool {
	for range s.heldOutFamilies() {
		return true
	}
	return false
}

// heldOutFamilies are the families of the source that have held-out problems.
func (s *Source) heldOutFamilies() iter.Seq[tasks.Family] {
	return func(yield func(tasks.Family) bool) {
		weights := s.mixture().Weights
		for _, f := range tasks.Families() {
			if len(s.Tasks) > 0 && f.Graded && (weights == nil || weights[f.Name] > 0) && !yield(f) {
				return
			}
		}
	}
}

// generatedText yields the text of the source's documents, without markers.
func (s *Source) generatedText() iter.Seq[string] {
	return func(yield func(string) bool) {
		if len(s.Tasks) == 0 {
			return
		}
		for d := range tasks.Documents(s.seed(), s.mixture()) {
			for _, segment := range d {
				if !segment.Kind.Marker() && !yield(segment.Text) {
					return
				}
			}
		}
	}
}

// seed is of the source's name: two sources of the same families have different problems.
func (s *Source) seed() uint64 { return uint64(crc32.ChecksumIEEE([]byte(s.Name))) }

// train yields the documents to train on, ever harder.
func (p *problems) train() iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		for d := range tasks.Documents(p.seed, p.mixture) {
			if !yield(p.document(d), nil) {
				return
			}
		}
	}
}

// valid yields held-out problems of every family in the mixture that has any, as hard as training ends.
func (p *problems) valid() iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		for f := range p.source.heldOutFamilies() {
			rng := rand.New(rand.NewPCG(p.seed, 1))
			for problem := range tasks.Problems(p.seed, f, p.mixture.End, true, heldOut) {
				if !yield(p.document(problem.Document(rng, true)), nil) {
					return
				}
			}
		}
	}
}

// document joins the text between two markers, so that tokens do not depend on what is marked as a mistake. With a format it is a chat.
func (p *problems) document(d tasks.Document) document {
	if p.format != nil {
		return p.chat(d)
	}
	var out document
	for _, s := range d {
		if s.Kind.Marker() {
			out = append(out, part{token: p.markers[s.Kind]})
			continue
		}
		if s.Text == "" {
			continue
		}
		if len(out) == 0 || out[len(out)-1].text == "" {
			out = append(out, part{})
		}
		out[len(out)-1].add(s)
	}
	return out
}

// fingerprint is a hash of some of the documents, spread over all: another version of the generators writes others.
func (p *problems) fingerprint() string {
	const sample = 256
	h := sha256.New()
	n := min(sample, p.mixture.Documents)
	for i := range n {
		for _, s := range p.mixture.Document(p.seed, i*(p.mixture.Documents/n)) {
			fmt.Fprintf(h, "%d %q\n", s.Kind, s.Text)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
