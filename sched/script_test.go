package sched

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// script runs one file of testdata: see the README there.
type script struct {
	*fake
	at    string // file and line
	names []string
	seqs  map[string]*Sequence
	fails map[*Sequence]bool
	due   []string // what the last step did and no line has said yet
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := script{seqs: map[string]*Sequence{}, fails: map[*Sequence]bool{}, fake: &fake{TB: t}}
			for i, line := range strings.Split(string(text), "\n") {
				line, _, _ = strings.Cut(line, "#")
				if line = strings.TrimSpace(line); line != "" {
					s.at = fmt.Sprintf("%s:%d: %s", file, i+1, line)
					s.line(line)
					s.check()
				}
			}
			s.end()
		})
	}
}

func (s *script) fatal(format string, args ...any) {
	s.Helper()
	s.Fatalf("%s\n"+format, append([]any{s.at}, args...)...)
}

func (s *script) line(line string) {
	line, message, _ := strings.Cut(line, ": ")
	words := strings.Fields(line)
	verb, rest := words[0], words[1:]
	if (verb == "config") == (s.Scheduler != nil) {
		s.fatal("config comes first and once")
	}
	switch verb {
	case "config":
		v := s.numbers(rest, "pages", "size", "context", "sequences", "tokens")
		s.fake = newFake(s.TB, v[0], v[1], Config{Context: v[2], Sequences: v[3], Tokens: v[4]})
	case "submit", "refuse":
		s.submit(rest, message)
	case "step":
		s.step(rest)
	case "steps":
		for n := s.number(rest[0]); n > 0; n-- {
			s.step(nil)
			if len(s.due) == 0 {
				return
			}
			s.due = nil
		}
	case "cancel":
		s.Cancel(s.named(rest[0]))
	case "fail":
		s.fails[s.named(rest[0])] = true
	case "expect":
		s.expect(rest)
	default:
		s.fatal("unknown verb")
	}
}

func (s *script) number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.fatal("%v", err)
	}
	return n
}

// numbers are the values of key=value words, one for each key; 0 where it is missing.
func (s *script) numbers(words []string, keys ...string) []int {
	values := make([]int, len(keys))
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		i := slices.Index(keys, key)
		if i < 0 {
			s.fatal("unknown %q: want one of %v", key, keys)
		}
		values[i] = s.number(value)
	}
	return values
}

func (s *script) named(name string) *Sequence {
	q := s.seqs[name]
	if q == nil {
		s.fatal("there is no sequence %q", name)
	}
	return q
}

// submit handles `submit` and, where there is a message, `refuse`.
func (s *script) submit(words []string, message string) {
	name, tenant := words[0], ""
	var prompt []int32
	var numbers []string
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "tenant":
			tenant = value
		case "like":
			other, n, _ := strings.Cut(value, ":")
			prompt = slices.Clone(s.named(other).ids)
			if n != "" {
				prompt = prompt[:s.number(n)]
			}
		default:
			numbers = append(numbers, w)
		}
	}
	v := s.numbers(numbers, "tokens", "max")
	for len(prompt) < v[0] {
		prompt = append(prompt, s.own(len(s.names), len(prompt)))
	}
	q, err := s.Submit(tenant, prompt, v[1])
	switch {
	case err == nil && message != "":
		s.fatal("it was taken")
	case err != nil && err.Error() != message:
		s.fatal("error: %v", err)
	case err == nil:
		s.seqs[name] = q
		s.names = append(s.names, name)
	}
}

// end ends all that is left.
func (s *script) end() {
	if len(s.due) > 0 {
		s.fatal("the last step did more than what is expected of it: %v", s.due)
	}
	for _, q := range s.seqs {
		s.Cancel(q)
	}
	s.check()
	if n := s.pool.Available(); n != s.pool.Pages() {
		s.fatal("%d of %d pages can be had when all has ended", n, s.pool.Pages())
	}
}

// own is a token at place i that only the n-th sequence has.
func (s *script) own(n, i int) int32 { return int32(1000*(n+1) + i) }

// step runs a step; words are what it appends.
func (s *script) step(words []string) {
	if len(s.due) > 0 {
		s.fatal("the step before did more than what is expected of it: %v", s.due)
	}
	b := s.Next()
	for _, c := range b.Copies {
		s.due = append(s.due, fmt.Sprintf("copy %d to %d rows=%d", c.From, c.To, c.Rows))
	}
	s.run(b)
	results := make([]Result, len(b.Work))
	for i, w := range b.Work {
		name := s.name(w.Seq)
		span := fmt.Sprintf("%s %s[%d:%d]", w.Phase, name, w.Start, w.Start+len(w.IDs))
		if len(w.IDs) == 1 {
			span = fmt.Sprintf("%s %s[%d]", w.Phase, name, w.Start)
		}
		s.due = append(s.due, span)
		n := 1
		for _, word := range words {
			if key, value, _ := strings.Cut(word, "="); key == name && value == "stop" {
				results[i].Stop = true
			} else if key == name {
				n = s.number(value)
			}
		}
		for k := range n {
			if w.Sample {
				results[i].Tokens = append(results[i].Tokens, s.own(slices.Index(s.names, name), len(w.Seq.ids)+k))
			}
		}
		if s.fails[w.Seq] {
			s.Cancel(w.Seq)
		}
	}
	s.Commit(b, results)
}

func (s *script) name(q *Sequence) string {
	for name, other := range s.seqs {
		if other == q {
			return name
		}
	}
	s.fatal("a sequence nobody submitted")
	return ""
}

func (s *script) expect(words []string) {
	if words[0] == "pages" {
		want := s.numbers(words[1:], "held", "cached", "free")
		have := []int{s.pool.Pages() - s.pool.Available(), s.pool.Cached(), s.pool.Available() - s.pool.Cached()}
		if !slices.Equal(want, have) {
			s.fatal("held, cached, free: %v", have)
		}
		return
	}
	if q := s.seqs[words[0]]; q != nil {
		have := []string{string(q.State()), fmt.Sprintf("cached=%d", q.Cached()), fmt.Sprintf("tokens=%d", len(q.IDs()))}
		for _, w := range words[1:] {
			if !slices.Contains(have, w) {
				s.fatal("it is %v", have)
			}
		}
		return
	}
	want := strings.Join(words, " ")
	if len(s.due) == 0 || s.due[0] != want {
		s.fatal("what the step did and no line has said yet: %q", s.due)
	}
	s.due = s.due[1:]
}
