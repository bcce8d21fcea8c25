package data

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Spec is the [data] table of a run file: what to learn from and how to deal it out.
type Spec struct {
	Dir    string   `toml:"dir"`    // where the tokens are kept; data within the run's directory if empty
	Train  []string `toml:"train"`  // files of a single source named text: short for a table [[data.source]]
	Valid  []string `toml:"valid"`  // its validation files
	Pack   string   `toml:"pack"`   // Mixed, also if empty, Borders or Whole
	Loss   string   `toml:"loss"`   // All, also if empty, or Assistant
	Source []Source `toml:"source"` // each a table [[data.source]]

	// Duplicates is Keep, also if empty, Exact or Near. The latter two look at all sources' documents in order, validation first, but
	// not at generated ones; a file named twice is then there once.
	Duplicates string `toml:"duplicates"`
	// Decontaminate names files of an examination. Training documents that have DecontaminateWords words on end in common with a
	// string in the values of a .jsonl file, or with the text of another file, are left out.
	Decontaminate      []string `toml:"decontaminate"`
	DecontaminateWords int      `toml:"decontaminate_words"` // 13 if 0

	Template string `toml:"-"` // the model's chat template, by which chats are written: see chat.New
}

// How documents lie in a row.
const (
	Mixed   = "mixed"   // as DeepSeek-V3 has it (section 4.1): attention crosses from one document into the next
	Borders = "borders" // a document sees itself alone
	Whole   = "whole"   // that, and none is cut: a row is whole documents and padding. Those longer than a row are left out
)

// Source is a part of the mixture: files, or problems that package tasks generates.
type Source struct {
	Name  string   `toml:"name"`  // also the seed of what it generates
	Files []string `toml:"files"` // .txt, .jsonl or .parquet, the former two also with .gz or .zst after it; a file named twice counts twice
	Valid []string `toml:"valid"` // to validate on

	Chat []string `toml:"chat"` // in place of files: .jsonl of chats, also with .gz or .zst; valid are then chats too

	Tasks      []string  `toml:"tasks"`      // families of package tasks, or "all"; held-out problems are what it validates on
	Documents  int       `toml:"documents"`  // how many problems to generate
	Difficulty []float64 `toml:"difficulty"` // of the first and, from a third on, of the later ones; [0, 1] if absent
	Plain      float64   `toml:"plain"`      // share of the problems without a solution before the answer

	// Weight is the source's share of the rows beside the others' weights: a number, or a list of points [fraction of the run,
	// weight] with straight lines between them and level ends. 1 if absent.
	Weight any     `toml:"weight"`
	Order  string  `toml:"order"` // Shuffled, also if empty, or File
	FIM    float64 `toml:"fim"`   // share of the documents rearranged for fill in the middle
}

// In what order a source's rows come.
const (
	Shuffled = "shuffled" // anew on each pass
	File     = "file"     // as they lie, from the start again at the end
)

// sources are the tables of s, or what Train and Valid are short for.
func (s *Spec) sources() []Source {
	if len(s.Source) > 0 {
		return s.Source
	}
	return []Source{{Name: "text", Files: s.Train, Valid: s.Valid}}
}

// Text yields the training text of all sources, in order, a document or part of one at a time.
func (s *Spec) Text() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, src := range s.sources() {
			for _, path := range src.Files {
				for doc, err := range Docs(path) {
					if !yield(doc, err) || err != nil {
						return
					}
				}
			}
			for text, err := range chatText(src.Chat) {
				if !yield(text, err) || err != nil {
					return
				}
			}
			for text := range src.generatedText() {
				if !yield(text, nil) {
					return
				}
			}
		}
	}
}

// words is how many words on end contaminate.
func (s *Spec) words() int {
	if s.DecontaminateWords == 0 {
		return 13 // GPT-3's (Brown et al. 2020, appendix C)
	}
	return s.DecontaminateWords
}

// nameForm keeps a source's name fit for a file's name on any system.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Check says what is wrong with s, if anything, by the key's name in the run file.
func (s *Spec) Check() error {
	if len(s.Train)+len(s.Valid) > 0 && len(s.Source) > 0 {
		return errors.New("data.train and data.valid are short for a single source: leave them out, or the tables [[data.source]]")
	}
	if len(s.Train) == 0 && len(s.Source) == 0 {
		return errors.New("data.train names no file: list the text files to learn from, or give tables [[data.source]]")
	}
	if !slices.Contains([]string{"", Mixed, Borders, Whole}, s.Pack) {
		return fmt.Errorf("data.pack is %q: want %q, %q or %q", s.Pack, Mixed, Borders, Whole)
	}
	if !slices.Contains([]string{"", All, Assistant}, s.Loss) {
		return fmt.Errorf("data.loss is %q: want %q or %q", s.Loss, All, Assistant)
	}
	if !slices.Contains([]string{"", Keep, Exact, Near}, s.Duplicates) {
		return fmt.Errorf("data.duplicates is %q: want %q, %q or %q", s.Duplicates, Keep, Exact, Near)
	}
	if s.DecontaminateWords < 0 || s.DecontaminateWords > 1000 {
		return fmt.Errorf("data.decontaminate_words is %d: want 1 to 1000", s.DecontaminateWords)
	}
	seen := map[string]bool{}
	for i, src := range s.sources() {
		if !nameForm.MatchString(src.Name) {
			return fmt.Errorf("data.source %d: name is %q: want letters, digits, - and _, at most 64", i+1, src.Name)
		}
		if seen[src.Name] {
			return fmt.Errorf("two tables [[data.source]] are named %q", src.Name)
		}
		seen[src.Name] = true
		if err := cmp.Or(src.check(), s.suits(&src)); err != nil {
			return fmt.Errorf("data.source %s: %w", src.Name, err)
		}
	}
	_, err := mixture(s.sources())
	return err
}

// suits says what of a source doesn't go with how all are packed and learned, if anything.
func (s *Spec) suits(src *Source) error {
	switch chats := len(src.Chat)+len(src.Tasks) > 0; {
	case s.Loss == Assistant && !chats:
		return fmt.Errorf("it is text, of which data.loss = %q leaves nothing: want chat or tasks", Assistant)
	case s.Loss != Assistant && len(src.Chat) > 0:
		return fmt.Errorf("chats are for data.loss = %q", Assistant)
	case s.Pack == Whole && src.Order == File:
		return fmt.Errorf("order is %q, but data.pack = %q puts documents together by their length", File, Whole)
	}
	return nil
}

func (s *Source) check() error {
	if !slices.Contains([]string{"", Shuffled, File}, s.Order) {
		return fmt.Errorf("order is %q: want %q or %q", s.Order, Shuffled, File)
	}
	if !(s.FIM >= 0 && s.FIM <= 1) {
		return fmt.Errorf("fim is %g: want 0 to 1", s.FIM)
	}
	if _, err := parseRamp(s.Weight); err != nil {
		return err
	}
	if len(s.Tasks) > 0 {
		return s.checkTasks()
	}
	if len(s.Chat) > 0 {
		return s.checkChat()
	}
	if len(s.Files)+len(s.Valid) == 0 {
		return errors.New("it has neither files nor tasks nor chat")
	}
	if s.Documents != 0 || s.Difficulty != nil || s.Plain != 0 {
		return errors.New("documents, difficulty and plain are for a source with tasks")
	}
	return nil
}

func (s *Source) checkChat() error {
	if len(s.Files) > 0 || s.FIM > 0 || s.Documents != 0 || s.Difficulty != nil || s.Plain != 0 {
		return errors.New("it has chat: leave files, fim, documents, difficulty and plain to another source")
	}
	for _, path := range slices.Concat(s.Chat, s.Valid) {
		name := strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".zst")
		if !strings.HasSuffix(name, ".jsonl") {
			return fmt.Errorf("%s: want chats in a file whose name ends in .jsonl, .jsonl.gz or .jsonl.zst", path)
		}
	}
	return nil
}

// maxDocuments bounds what a source generates.
const maxDocuments = 1e9

func (s *Source) checkTasks() error {
	switch {
	case len(s.Files)+len(s.Valid)+len(s.Chat) > 0 || s.FIM > 0:
		return errors.New("it has tasks: leave files, valid, chat and fim to another source")
	case s.Documents > maxDocuments:
		return fmt.Errorf("documents is %d: want at most %d", s.Documents, int(maxDocuments))
	case s.Difficulty != nil && len(s.Difficulty) != 2:
		return fmt.Errorf("difficulty is %v: want two numbers, of the first and the last problems", s.Difficulty)
	}
	return s.mixture().Check()
}

// trains tells whether s has anything to train on.
func (s *Source) trains() bool { return len(s.Files)+len(s.Tasks)+len(s.Chat) > 0 }

// mixture is the ramp of each source. Those with nothing to train on have a weight of 0.
func mixture(sources []Source) ([]ramp, error) {
	ramps := make([]ramp, len(sources))
	at := []float64{0, 1}
	for i, src := range sources {
		if !src.trains() {
			ramps[i] = ramp{{0, 0}}
			continue
		}
		r, err := parseRamp(src.Weight)
		if err != nil {
			return nil, fmt.Errorf("data.source %s: %w", src.Name, err)
		}
		ramps[i] = r
		for _, p := range r {
			at = append(at, p.at)
		}
	}
	for _, f := range at { // between these the sum is a straight line, so that it is 0 at one of them or nowhere
		sum := 0.0
		for _, r := range ramps {
			sum += r.weight(f)
		}
		if sum == 0 {
			return nil, fmt.Errorf("data.source: every weight is 0 at %g of the run: there is nothing to learn from", f)
		}
	}
	return ramps, nil
}

// ramp is a weight over the run: straight lines between points that ascend.
type ramp []point

type point struct{ at, weight float64 }

// maxWeight bounds weights, and their reciprocals, so that their sums and ratios stay far from the ends of float64.
const maxWeight = 1e9

func parseRamp(v any) (ramp, error) {
	if v == nil {
		return ramp{{0, 1}}, nil
	}
	wrong := fmt.Errorf("weight is %v: want a number from 0, or points [[fraction of the run, weight], …] in ascending order", v)
	list, ok := v.([]any)
	if !ok {
		list = []any{[]any{0.0, v}}
	}
	var r ramp
	for _, v := range list {
		pair, _ := v.([]any)
		if len(pair) != 2 {
			return nil, wrong
		}
		at, ok1 := number(pair[0])
		w, ok2 := number(pair[1])
		ascends := len(r) == 0 || at > r[len(r)-1].at
		if !ok1 || !ok2 || !ascends || !(at >= 0 && at <= 1) || !(w == 0 || w >= 1/maxWeight && w <= maxWeight) {
			return nil, wrong
		}
		r = append(r, point{at, w})
	}
	if len(r) == 0 {
		return nil, wrong
	}
	return r, nil
}

// number is v as TOML has it.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v)
	}
	return 0, false
}

// weight is the ramp at fraction f of the run.
func (r ramp) weight(f float64) float64 {
	for i, p := range r {
		if f > p.at {
			continue
		}
		if i == 0 {
			return p.weight
		}
		before := r[i-1]
		t := (f - before.at) / (p.at - before.at)
		return before.weight + float64((p.weight-before.weight)*t) // rounded: no fused multiply-add, the same everywhere
	}
	return r[len(r)-1].weight
}
