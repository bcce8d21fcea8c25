package tasks

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
)

// Kind says what a segment of a document is.
type Kind uint8

const (
	Text      Kind = iota // ordinary text
	Slip                  // ordinary text with a mistake in it, that later text corrects
	DeadEnd               // ordinary text, true but of a try that leads nowhere
	User                  // a marker: the question follows
	Assistant             // a marker: the reply follows
	Think                 // a marker: thinking begins
	EndThink              // a marker: thinking ends
)

// Marker reports whether a segment of this kind is one special token.
func (k Kind) Marker() bool { return k >= User }

// The markers, as DeepSeek's chat templates write them: the bars are U+FF5C.
const (
	UserMarker      = "<｜User｜>"
	AssistantMarker = "<｜Assistant｜>"
	ThinkMarker     = "<think>"
	EndThinkMarker  = "</think>"
)

// A Segment is a run of text of one kind. The text of a marker is the marker.
type Segment struct {
	Kind Kind
	Text string
}

// A Document is a dialogue of one question as text to train on: User question Assistant [Think solution EndThink] answer.
//
// To make tokens of it, give each marker the id of the special token of that text, and encode every run between two markers as
// ordinary text (in one piece, Slip and DeadEnd included, so that tokens don't depend on what is marked); then the beginning- and
// end-of-text tokens as for any document. To fine-tune, leave out of the loss what stands before Assistant, and Slip. Nothing in
// ordinary text is ever a marker.
type Document []Segment

// String returns the text of the document, markers included.
func (d Document) String() string {
	var b strings.Builder
	for _, s := range d {
		b.WriteString(s.Text)
	}
	return b.String()
}

// Document returns the problem with its answer, and with a solution before that if thinking.
func (p Problem) Document(rng *rand.Rand, thinking bool) Document {
	d := Document{{User, UserMarker}, {Text, p.Question}, {Assistant, AssistantMarker}}
	if thinking {
		d = append(d, Segment{Think, ThinkMarker})
		d = append(d, p.Solve(rng)...)
		d = append(d, Segment{EndThink, EndThinkMarker})
	}
	return append(d, Segment{Text, p.Answer})
}

// A Mixture says what documents to write.
type Mixture struct {
	Weights    map[string]float64 // of families, relative; nil for all of them alike
	Start, End float64            // difficulty: from Start to End over the first third of Documents, and End from there
	Documents  int                // how many there are
	Plain      float64            // the share without thinking: of worked problems, and of talk beyond difficulty 1; other talk has none
}

// Check says what is wrong with a mixture.
func (m Mixture) Check() error {
	total := 0.0
	for name, w := range m.Weights {
		if _, err := ByName(name); err != nil {
			return err
		}
		if !(w >= 0 && w <= 1e9) {
			return fmt.Errorf("the weight of family %s is %v: want 0 or more", name, w)
		}
		total += w
	}
	switch {
	case m.Weights != nil && total == 0:
		return fmt.Errorf("no family of problems has a weight above 0")
	case m.Documents < 1:
		return fmt.Errorf("a mixture of %d documents: want 1 or more", m.Documents)
	case !(m.Start >= 0 && m.Start <= m.End && m.End <= MaxDifficulty):
		return fmt.Errorf("difficulty from %v to %v: want 0 to %d, rising", m.Start, m.End, MaxDifficulty)
	case !(m.Plain >= 0 && m.Plain <= 1):
		return fmt.Errorf("the share without thinking is %v: want 0 to 1", m.Plain)
	}
	return nil
}

// Documents yields the documents of a mixture that Check finds right, in order. The same seed gives the same documents.
func Documents(seed uint64, m Mixture) iter.Seq[Document] {
	return func(yield func(Document) bool) {
		for i := range m.Documents {
			if !yield(m.Document(seed, i)) {
				return
			}
		}
	}
}

// Document returns document i of the stream that Documents yields from its start. It is never of a problem whose key is held out.
//
// One in four problems is easier than the ramp has come to, so that what came first isn't forgotten.
func (m Mixture) Document(seed uint64, i int) Document {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	family := m.pick(rng)
	difficulty := m.Start + (m.End-m.Start)*min(1, 3*float64(i)/float64(m.Documents))
	if rng.IntN(4) == 0 {
		difficulty = m.Start + (difficulty-m.Start)*rng.Float64()
	}
	p := family.Generate(rng, difficulty)
	for p.graded && keyHeldOut(p.Key) {
		p = family.Generate(rng, difficulty)
	}
	return p.Document(rng, (p.graded || difficulty > 1) && rng.Float64() >= m.Plain)
}

func (m Mixture) pick(rng *rand.Rand) Family {
	weight := func(f Family) float64 {
		if m.Weights == nil {
			return 1
		}
		return m.Weights[f.Name]
	}
	families, total := Families(), 0.0
	for _, f := range families {
		total += weight(f)
	}
	at := rng.Float64() * total
	var last Family // of those with a weight: what rounding may leave
	for _, f := range families {
		if weight(f) == 0 {
			continue
		}
		if last = f; at < weight(f) {
			break
		}
		at -= weight(f)
	}
	return last
}

// Problems yields n distinct problems of a family, all held out or none: what to evaluate on, or to learn from by reinforcement.
// It yields fewer where the family has no more at that difficulty.
func Problems(seed uint64, f Family, difficulty float64, heldOut bool, n int) iter.Seq[Problem] {
	return func(yield func(Problem) bool) {
		rng := rand.New(rand.NewPCG(seed, 0))
		seen := map[string]bool{}
		for misses := 0; len(seen) < n && misses < 10_000; misses++ {
			p := f.Generate(rng, difficulty)
			if p.HeldOut() != heldOut || seen[p.Key] {
				continue
			}
			misses, seen[p.Key] = 0, true
			if !yield(p) {
				return
			}
		}
	}
}

// A writer collects a solution, and joins segments of one kind.
type writer struct{ segments []Segment }

func (w *writer) say(format string, args ...any)     { w.write(Text, format, args...) }
func (w *writer) slip(format string, args ...any)    { w.write(Slip, format, args...) }
func (w *writer) deadEnd(format string, args ...any) { w.write(DeadEnd, format, args...) }

func (w *writer) write(kind Kind, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n := len(w.segments); n > 0 && w.segments[n-1].Kind == kind {
		w.segments[n-1].Text += text
		return
	}
	w.segments = append(w.segments, Segment{kind, text})
}
