package data

import (
	"strings"
	"testing"
)

func TestSpecMistakes(t *testing.T) {
	file := []string{"a.txt"}
	one := func(change func(*Source)) Spec {
		s := Source{Name: "a", Files: file}
		change(&s)
		return Spec{Source: []Source{s}}
	}
	problems := func(change func(*Source)) Spec {
		return one(func(s *Source) {
			s.Files, s.Tasks, s.Documents = nil, []string{"add"}, 10
			change(s)
		})
	}
	points := func(p ...[]any) []any {
		var list []any
		for _, x := range p {
			list = append(list, x)
		}
		return list
	}
	for name, c := range map[string]struct {
		spec Spec
		want string // in the error; empty: there is none
	}{
		"short form":      {Spec{Train: file}, ""},
		"nothing":         {Spec{}, "data.train names no file"},
		"only validation": {Spec{Valid: file}, "data.train names no file"},
		"both forms":      {Spec{Train: file, Source: []Source{{Name: "a", Files: file}}}, "leave them out"},
		"pack":            {Spec{Train: file, Pack: "loose"}, "data.pack"},
		"duplicates":      {Spec{Train: file, Duplicates: "some"}, "data.duplicates"},
		"words":           {Spec{Train: file, DecontaminateWords: -1}, "data.decontaminate_words"},
		"no name":         {one(func(s *Source) { s.Name = "" }), "data.source 1: name"},
		"name of a path":  {one(func(s *Source) { s.Name = "../a" }), "data.source 1: name"},
		"two of a name":   {Spec{Source: []Source{{Name: "a", Files: file}, {Name: "a", Files: file}}}, "two tables"},
		"no files":        {one(func(s *Source) { s.Files = nil }), "data.source a: it has neither"},
		"order":           {one(func(s *Source) { s.Order = "random" }), "data.source a: order"},
		"fim":             {one(func(s *Source) { s.FIM = 1.5 }), "data.source a: fim"},
		"documents":       {one(func(s *Source) { s.Documents = 3 }), "data.source a: documents"},

		"weight":            {one(func(s *Source) { s.Weight = int64(3) }), ""},
		"points":            {one(func(s *Source) { s.Weight = points([]any{0.0, int64(3)}, []any{0.3, 0.5}) }), ""},
		"weight of text":    {one(func(s *Source) { s.Weight = "3" }), "weight is 3"},
		"negative weight":   {one(func(s *Source) { s.Weight = -1.0 }), "weight is"},
		"tiny weight":       {one(func(s *Source) { s.Weight = 1e-300 }), "weight is"},
		"no points":         {one(func(s *Source) { s.Weight = []any{} }), "weight is"},
		"point of three":    {one(func(s *Source) { s.Weight = points([]any{0.0, 1.0, 2.0}) }), "weight is"},
		"points that fall":  {one(func(s *Source) { s.Weight = points([]any{0.5, 1.0}, []any{0.5, 2.0}) }), "weight is"},
		"point after":       {one(func(s *Source) { s.Weight = points([]any{1.5, 1.0}) }), "weight is"},
		"zero":              {one(func(s *Source) { s.Weight = int64(0) }), "every weight is 0 at 0 of"},
		"zero at the end":   {one(func(s *Source) { s.Weight = points([]any{0.0, 1.0}, []any{1.0, 0.0}) }), "every weight is 0 at 1 of"},
		"zero in between":   {one(func(s *Source) { s.Weight = points([]any{0.1, 1.0}, []any{0.4, 0.0}, []any{0.5, 1.0}) }), "0 at 0.4 of"},
		"one takes another": {Spec{Source: []Source{{Name: "a", Files: file, Weight: points([]any{0.0, 1.0}, []any{1.0, 0.0})}, {Name: "b", Files: file}}}, ""},
		"only to validate":  {Spec{Source: []Source{{Name: "a", Valid: file}}}, "every weight is 0"},

		"problems":         {problems(func(s *Source) {}), ""},
		"all problems":     {problems(func(s *Source) { s.Tasks = []string{"all"} }), ""},
		"unknown problems": {problems(func(s *Source) { s.Tasks = []string{"chess"} }), "chess"},
		"no documents":     {problems(func(s *Source) { s.Documents = 0 }), "documents"},
		"many documents":   {problems(func(s *Source) { s.Documents = 1e10 }), "documents"},
		"difficulty":       {problems(func(s *Source) { s.Difficulty = []float64{1} }), "difficulty"},
		"hard":             {problems(func(s *Source) { s.Difficulty = []float64{0, 99} }), "difficulty"},
		"plain":            {problems(func(s *Source) { s.Plain = 2 }), "share"},
		"files and tasks":  {problems(func(s *Source) { s.Files = file }), "another source"},
	} {
		err := c.spec.Check()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}

func TestRamp(t *testing.T) {
	r, err := parseRamp([]any{[]any{0.2, int64(3)}, []any{0.6, 1.0}, []any{0.7, 0.0}})
	if err != nil {
		t.Fatal(err)
	}
	// Powers of two apart where straight lines are exact but for one rounding.
	for f, want := range map[float64]float64{0: 3, 0.2: 3, 0.4: 2, 0.6: 1, 0.65: 0.5, 0.7: 0, 1: 0} {
		if got := r.weight(f); got < want-1e-12 || got > want+1e-12 {
			t.Errorf("at %v: %v, want %v", f, got, want)
		}
	}
}
