package sample

import (
	"strings"
	"testing"
)

// A script is a prompt and what the model would say at each step; tokens are letters, with < and > around thoughts. What comes is
// written with forced tokens in capitals; these stand in Close as small letters, apart from >, written ].
func TestThinking(t *testing.T) {
	const alphabet = "<>abcdefghijklmnopqrstuvwxyz."
	for _, c := range []struct {
		close         string
		budget        int
		prompt, model string
		want          string
	}{
		{">", 3, "q", "<abcdef", "<abc]ef"},
		{">", 3, "q<", "abcdef", "abc]ef"},           // opened by the prompt
		{">", 3, "q<xyz", "abcdef", "abc]ef"},        // whose tokens are free
		{">", 3, "q<x>", "abcdef", "abcdef"},         // closed by the prompt
		{">", 3, "q<x>a<", "abcdef", "abc]ef"},       // opened again
		{">", 3, "q<", "ab>cdef", "ab>cdef"},         // in time
		{">", 3, "q<", "abc>def", "abc]def"},         // in the last moment: the token is forced, and the same
		{">", 0, "q<", "abc", "]bc"},                 // no thoughts
		{">", 0, "q", "<abc", "<]bc"},                //
		{"so>..", 2, "q<", "abcdefghi", "abSO]..hi"}, // words before and line breaks after
		{">", 3, "q", "a<bc>d<efgh", "a<bc>d<e]gh"},  // two blocks share the budget
		{">", 2, "q", "<a<bcd", "<a<b]d"},            // a second begin is none
		{">", 2, "q", "ab>cd", "ab>cd"},              // an end without a begin
		{"", 0, "q<", "abc", "abc"},                  // no bound
	} {
		ids := func(text string) (ids []int32) {
			for _, r := range text {
				ids = append(ids, int32(strings.IndexRune(alphabet, r)))
			}
			return ids
		}
		s, err := New(Options{Thinking: Thinking{Begin: 0, End: 1, Close: ids(c.close), Budget: c.budget}}, len(alphabet), ids(c.prompt))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, id := range ids(c.model) {
			logits := make([]float32, len(alphabet))
			logits[id] = 1
			token, err := s.Next(logits)
			if err != nil {
				t.Fatal(err)
			}
			letter := alphabet[token.ID : token.ID+1]
			if token.Forced {
				letter = strings.ToUpper(strings.Replace(letter, ">", "]", 1))
			}
			got += letter
		}
		if got != c.want {
			t.Errorf("%q after %q with a budget of %d, closed by %q: %q, want %q", c.model, c.prompt, c.budget, c.close, got, c.want)
		}
	}
}

// A Sampler that is told of the tokens so far forces the rest of Close.
func TestThinkingResumes(t *testing.T) {
	o := Options{Thinking: Thinking{Begin: 0, End: 1, Close: []int32{5, 6, 1, 7}, Budget: 2}}
	for told := range 8 {
		s, err := New(o, 9, []int32{0})
		if err != nil {
			t.Fatal(err)
		}
		ids := []int32{3, 4, 5, 6, 1, 7, 8, 8}
		for _, id := range ids[:told] {
			s.Accept(id)
		}
		for _, id := range ids[told:] {
			logits := make([]float32, 9)
			logits[8] = 1
			if id == 3 || id == 4 {
				logits[id] = 2
			}
			token, err := s.Next(logits)
			if err != nil {
				t.Fatal(err)
			}
			if token.ID != id || token.Forced != (id >= 5 && id <= 7 || id == 1) {
				t.Errorf("told of %d: %+v, want token %d", told, token, id)
			}
		}
	}
}
