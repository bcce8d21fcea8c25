package reward

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestQuestions(t *testing.T) {
	q, err := NewQuestions([]Problems{
		{Families: []string{"add"}, Weight: 3, Plain: 0.5},
		{Families: []string{"story", "lists"}, Difficulty: []float64{0, 0.5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	const n = 2000
	count, plain := map[string]int{}, 0
	for range n {
		p, think := q.Draw(rng)
		if p.HeldOut() {
			t.Fatalf("%s is held out", p.Key)
		}
		if count[p.Family]++; !think {
			plain++
		}
	}
	// Three standard deviations of a binomial: 58 of 1,500, 58 of 750.
	if d := count["add"] - n*3/4; d*d > 58*58 || count["add"]+count["story"]+count["lists"] != n {
		t.Errorf("drawn %v", count)
	}
	if d := plain - n*3/8; d*d > 66*66 {
		t.Errorf("%d of %d without thinking, want three eighths", plain, n)
	}
	if names := strings.Join(q.Families(), " "); names != "add story lists" || !q.Plain() {
		t.Errorf("families %s, plain %v", names, q.Plain())
	}
}

func TestQuestionsMistakes(t *testing.T) {
	for want, p := range map[string]Problems{
		"families":   {},
		"chess":      {Families: []string{"chess"}},
		"difficulty": {Families: []string{"add"}, Difficulty: []float64{1, 0}},
		"weight":     {Families: []string{"add"}, Weight: -1},
		"plain":      {Families: []string{"add"}, Plain: 2},
	} {
		if _, err := NewQuestions([]Problems{p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error that names %s", p, err, want)
		}
	}
	if _, err := NewQuestions(nil); err == nil {
		t.Error("no tables are taken")
	}
}
