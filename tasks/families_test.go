package tasks

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// TestShippedLimits holds difficulty 1 to what it promises, and what lies above it to more.
func TestShippedLimits(t *testing.T) {
	digits := func(n int) int { return len(strconv.Itoa(n)) }
	// size is what the dial of a family turns, and most what it is at difficulty 1.
	size := func(p puzzle) (n, most int) {
		switch p := p.(type) {
		case sum:
			return digits(max(p.a, p.b)), 4
		case product:
			return digits(p.a) * digits(p.b), 6
		case quotient:
			return digits(p.a), 4
		case bracketed:
			return len(p.e.numbers(nil)), 4
		case equation:
			return max(p.a, -p.a, p.b, -p.b, p.c, -p.c, p.d, -p.d), 20
		case sorting:
			return len(p.numbers), 5
		case counting:
			return len(p.word), 8
		case reversal:
			return len(p.word), 8
		case island:
			return len(p.claims), 4
		case network:
			return p.places, 6
		}
		return 0, 0
	}
	for _, f := range Families() {
		shipped, beyond := 0, 0
		for seed := range uint64(500) {
			p := f.Generate(source(seed), 1)
			n, most := size(p.puzzle)
			if n > most {
				t.Fatalf("%s: a size of %d, above %d: %s", f.Name, n, most, p.Question)
			}
			shipped = max(shipped, n)
			n, _ = size(f.Generate(source(seed), 1.5).puzzle)
			beyond = max(beyond, n)
		}
		if shipped > 0 && beyond <= shipped {
			t.Errorf("%s: difficulty 1.5 is no harder than 1", f.Name)
		}
	}
}

func TestCountdownLimits(t *testing.T) {
	for seed := range uint64(500) {
		for name, count := range map[string]int{"countdown": 3, "countdown4": 4} {
			f, err := ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			c := f.Generate(source(seed), 1).puzzle.(countdown)
			if len(c.numbers) != count || slices.Max(c.numbers) > 25 || slices.Min(c.numbers) < 1 || c.target < 1 || c.target > 100 {
				t.Fatalf("%s: numbers %v, target %d", name, c.numbers, c.target)
			}
		}
	}
}

// TestSolutionsConclude finds the answer at the end of each solution.
func TestSolutionsConclude(t *testing.T) {
	lastNumber := regexp.MustCompile(`-?\d+\D*$`)
	problems(t, func(t *testing.T, _ float64, p Problem, rng *rand.Rand) {
		text, _ := words(p.Solve(rng))
		text, _, _ = strings.Cut(text, "Check:")
		want := p.Answer // what has to be there
		switch puzzle := p.puzzle.(type) {
		case remark:
			return
		case countdown:
			want = fmt.Sprintf("So %s=%d\n", p.Answer, puzzle.target)
		case equation:
			want = strings.ReplaceAll(p.Answer, " ", "")
		case quotient:
			if want = fmt.Sprintf(": %d\n", puzzle.a/puzzle.b); puzzle.a%puzzle.b > 0 {
				want += fmt.Sprintf("remainder %d\n", puzzle.a%puzzle.b)
			}
		case sorting:
			for _, n := range puzzle.sorted() {
				if want = fmt.Sprintf(": %d\n", n); !strings.Contains(text, want) {
					break
				}
			}
		case reversal:
			want = spelled(p.Answer) + "\n"
		case island:
			for i, knight := range puzzle.knights {
				if line := text[strings.LastIndex(text, "Say"):]; !strings.Contains(line, kind(i, knight)) {
					t.Errorf("%q is not in the last line of\n%s", kind(i, knight), text)
				}
			}
			return
		case network:
			_, length := puzzle.shortest(func(int, int, []string) {})
			want = fmt.Sprintf("length %d\n", length)
		case told:
			if p.Family != "story" {
				return
			}
		default:
			want = lastNumber.FindString(text)
			if strings.TrimSpace(strings.TrimLeft(want, "-")) != strings.TrimLeft(p.Answer, "-") {
				t.Errorf("the solution ends with %q", want)
			}
		}
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	})
}

// TestSlips looks for mistakes that are none: a slip must say something false, or leave out something.
func TestSlips(t *testing.T) {
	slips := map[string]int{}
	problems(t, func(t *testing.T, _ float64, p Problem, rng *rand.Rand) {
		solution := p.Solve(rng)
		for i, s := range solution {
			if s.Kind != Slip {
				continue
			}
			slips[p.Family]++
			if i == len(solution)-1 || solution[i+1].Kind != Text {
				t.Errorf("nothing corrects %q", s.Text)
			}
			if _, claimed := words(solution); strings.Contains(claimed, "\n"+s.Text) {
				t.Errorf("%q is a slip, and said in earnest, too:\n%s", s.Text, claimed)
			}
		}
	})
	for _, name := range []string{"add", "multiply", "brackets", "equation", "measure", "story", "lists"} {
		if slips[name] < 20 {
			t.Errorf("%s: only %d slips", name, slips[name])
		}
	}
}

func TestKeysAndWordings(t *testing.T) {
	problems(t, func(t *testing.T, _ float64, p Problem, rng *rand.Rand) {
		for range 3 {
			again := Problem{Question: p.puzzle.ask(rng), Key: p.Family + " " + p.puzzle.key()}
			if again.Key != p.Key {
				t.Errorf("%q and %q have the keys %s and %s", p.Question, again.Question, p.Key, again.Key)
			}
		}
	})
	for _, twins := range [][2]puzzle{
		{sum{a: 3, b: 4}, sum{a: 4, b: 3}},
		{product{12, 345}, product{345, 12}},
		{bracketed{e: mustParse(t, "2*(3+4)")}, bracketed{e: mustParse(t, "(4+3)*2")}},
		{equation{a: 2, b: 3, c: 1, d: 5, letter: "x"}, equation{a: 1, b: 5, c: 2, d: 3, letter: "n"}},
		{sorting{numbers: []int{3, 1, 2}}, sorting{numbers: []int{2, 3, 1}}},
		{island{claims: []claim{{isKnave, 1, 1}, {sameKind, 0, 1}}}, island{claims: []claim{{sameKind, 0, 1}, {isKnave, 0, 0}}}},
		{network{4, []road{{0, 1, 5}, {0, 2, 3}, {1, 3, 4}}}, network{4, []road{{0, 1, 3}, {0, 2, 5}, {2, 3, 4}}}},
	} {
		if a, b := twins[0].key(), twins[1].key(); a != b {
			t.Errorf("%q and %q are one problem", a, b)
		}
	}
	for _, strangers := range [][2]puzzle{
		{sum{a: 3, b: 4}, sum{a: 3, b: 5}},
		{sum{a: 3, b: 4, minus: true}, sum{a: 4, b: 3, minus: true}},
		{sum{a: 3, b: 4}, sum{a: 3, b: 4, minus: true}},
		{quotient{12, 3}, quotient{13, 2}},
		{island{claims: []claim{{isKnave, 1, 1}, {sameKind, 0, 1}}}, island{claims: []claim{{isKnave, 1, 1}, {different, 0, 1}}}},
		{network{4, []road{{0, 1, 5}, {0, 2, 3}, {1, 3, 4}}}, network{4, []road{{0, 1, 5}, {0, 2, 3}, {2, 3, 4}}}},
		{bracketed{e: mustParse(t, "9-(3+4)")}, bracketed{e: mustParse(t, "9-3+4")}},
		{bracketed{e: mustParse(t, "8/4")}, bracketed{e: mustParse(t, "4/8")}},
		{countdown{numbers: []int{9, 3}, target: 6}, countdown{numbers: []int{9, 3}, target: 3}},
	} {
		if a, b := strangers[0].key(), strangers[1].key(); a == b {
			t.Errorf("%+v and %+v share the key %q", strangers[0], strangers[1], a)
		}
	}
}

// result is what of an answer depends on the key alone, and not on names or on which way to sort.
func result(p Problem) string {
	switch puzzle := p.puzzle.(type) {
	case equation:
		return strconv.Itoa(puzzle.x)
	case sorting:
		return commas(sorting{numbers: puzzle.numbers}.sorted())
	case island:
		return strconv.Itoa(strings.Count(p.Answer, "knight"))
	case network:
		_, length := puzzle.shortest(func(int, int, []string) {})
		return strconv.Itoa(length)
	}
	return p.Answer
}

// TestOneKeyOneAnswer: problems that share a key share what is asked, so they can't differ in the number that answers it.
func TestOneKeyOneAnswer(t *testing.T) {
	for _, f := range Families() {
		answers := map[string]Problem{}
		for seed := range uint64(6000) {
			p := f.Generate(source(seed), 0.2)
			first, ok := answers[p.Key]
			answers[p.Key] = p
			if !ok || !f.Graded {
				continue
			}
			if result(first) != result(p) {
				t.Errorf("%q: %q has the answer %q, and %q %q", p.Key, first.Question, first.Answer, p.Question, p.Answer)
			}
		}
		if f.Graded && len(answers) < 50 {
			t.Errorf("%s: only %d problems at difficulty 0.2", f.Name, len(answers))
		}
	}
}

// TestStoriesAreMany counts templates: what is left of stories without their numbers, names and things.
func TestStoriesAreMany(t *testing.T) {
	var replace []string
	for _, p := range people {
		replace = append(replace, p.name, "N")
	}
	for _, thing := range things {
		replace = append(replace, thing, "T")
	}
	bare, numbers := strings.NewReplacer(replace...), regexp.MustCompile(`\d+`)
	rng, templates := source(1), map[string]bool{}
	const n = 6000
	for range n {
		templates[numbers.ReplaceAllString(bare.Replace(drawStory(rng, 1).ask(rng)), "#")] = true
	}
	if len(templates) < 4000 {
		t.Errorf("only %d of %d stories are not told alike", len(templates), n)
	}
	t.Logf("%d templates in %d stories", len(templates), n)
}

// TestStorySteps: two or three at difficulty 1.
func TestStorySteps(t *testing.T) {
	equals := regexp.MustCompile(`(?m)^.*=.*$`)
	for seed := range uint64(500) {
		rng := source(seed)
		_, claimed := words(Problem{puzzle: drawStory(rng, 1)}.Solve(rng))
		if n := len(equals.FindAllString(claimed, -1)); n < 2 || n > 3 {
			t.Fatalf("%d steps:\n%s", n, claimed)
		}
	}
}

// TestHeldOutIsStable pins the split: a change to it would let a trained model see held-out problems.
func TestHeldOutIsStable(t *testing.T) {
	for key, want := range map[string]bool{
		"add 3+4":         false,
		"add 1175+2344":   false,
		"add 9813-1236":   false,
		"multiply 23*117": false,
		"multiply 99*285": false,
		"divide 7345/6":   false,
		"add 11+12":       true,
		"add 23+24":       true,
		"add 30+31":       true,
	} {
		if got := (Problem{Key: key, graded: true}).HeldOut(); got != want {
			t.Errorf("%q: held out is %v", key, got)
		}
	}
}

// TestLengths reports how long questions and solutions are at difficulty 1, in characters.
func TestLengths(t *testing.T) {
	for _, f := range Families() {
		total, longest, marked := 0, 0, 0
		const n = 1000
		for seed := range uint64(n) {
			rng := source(seed)
			solution := f.Generate(rng, 1).Solve(rng)
			all, _ := words(solution)
			total += len(all)
			longest = max(longest, len(all))
			if slices.ContainsFunc(solution, func(s Segment) bool { return s.Kind != Text }) {
				marked++
			}
		}
		t.Logf("%-10s mean %3d, longest %3d, %4.1f %% with a slip or a dead end", f.Name, total/n, longest, 100*float64(marked)/n)
	}
}

// TestTalkIsWide counts what is said beyond difficulty 1, and looks for thoughts there and nowhere below.
func TestTalkIsWide(t *testing.T) {
	f, err := ByName("talk")
	if err != nil {
		t.Fatal(err)
	}
	questions := map[string]bool{}
	const n = 4000
	for seed := range uint64(n) {
		p := f.Generate(source(seed), 2)
		questions[p.Question] = true
		if strings.ContainsAny(p.Question+p.Answer, "{}") || !p.Verify(p.Answer) || len(p.Question) > 80 {
			t.Fatalf("%q is answered by %q", p.Question, p.Answer)
		}
	}
	if len(questions) < n/4 {
		t.Errorf("only %d questions in %d", len(questions), n)
	}
	for difficulty, want := range map[float64]bool{1: false, 2: true} {
		thoughts, m := 0, Mixture{Weights: map[string]float64{"talk": 1}, Start: difficulty, End: difficulty, Documents: 300, Plain: 0.5}
		for i := range m.Documents {
			if len(m.Document(1, i)) > 4 {
				thoughts++
			}
		}
		if (thoughts > 100) != want || thoughts > 200 {
			t.Errorf("at difficulty %v %d of %d remarks are thought about", difficulty, thoughts, m.Documents)
		}
	}
}
