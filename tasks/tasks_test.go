package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var difficulties = []float64{0, 0.3, 0.6, 1, 1.25, 2, MaxDifficulty}

// problems calls f with problems of every family, at every difficulty; SPRAT_LONG=1 asks for many more.
func problems(t *testing.T, f func(t *testing.T, difficulty float64, p Problem, rng *rand.Rand)) {
	seeds := uint64(150)
	if os.Getenv("SPRAT_LONG") != "" {
		seeds = 2000
	}
	for _, family := range Families() {
		t.Run(family.Name, func(t *testing.T) {
			for _, d := range difficulties {
				for seed := range seeds {
					rng := rand.New(rand.NewPCG(seed, math.Float64bits(d)))
					p := family.Generate(rng, d)
					f(t, d, p, rng)
					if t.Failed() {
						t.Fatalf("at difficulty %v, seed %d: %+v", d, seed, p)
					}
				}
			}
		})
	}
}

// words returns the solution's text: all of it, and what is claimed to be true.
func words(solution []Segment) (all, claimed string) {
	for _, s := range solution {
		all += s.Text
		if s.Kind != Slip {
			claimed += s.Text
		} else {
			claimed += "\n"
		}
	}
	return all, claimed
}

func TestSolutionsAndVerifiersAgree(t *testing.T) {
	problems(t, func(t *testing.T, d float64, p Problem, rng *rand.Rand) {
		if !p.Verify(p.Answer) {
			t.Errorf("answer %q is refused", p.Answer)
		}
		if !p.Verify("  " + p.Answer + "\n") {
			t.Errorf("answer %q is refused with space around it", p.Answer)
		}
		if whole := p.Document(rng, true).String(); strings.Contains(whole, "%!") || !utf8.ValidString(whole) {
			t.Errorf("a format went wrong:\n%s", whole)
		}
		if !p.graded {
			return
		}
		all, claimed := words(p.Solve(rng))
		if limit := 700 * max(1, d*d); float64(len(all)) > limit {
			t.Errorf("a solution of %d characters, more than %v:\n%s", len(all), limit, all)
		}
		if !strings.HasSuffix(all, "\n") {
			t.Errorf("the solution ends within a line:\n%s", all)
		}
		for _, line := range strings.Split(claimed, "\n") {
			checkArithmetic(t, line)
		}
	})
}

// equations matches a=b and a=b=c of numbers, signs and brackets, with the letters around it, if any.
var equations = regexp.MustCompile(`[a-zA-Z]*[-+*/()0-9]+(=[a-zA-Z]*[-+*/()0-9]+)+[a-zA-Z]*`)

func checkArithmetic(t *testing.T, line string) {
	for _, equation := range equations.FindAllString(line, -1) {
		if strings.ContainsFunc(equation, func(r rune) bool { return r >= 'A' }) {
			continue // of unknowns
		}
		var first *big.Rat
		for side := range strings.SplitSeq(equation, "=") {
			value := evaluate(side)
			if value == nil {
				t.Errorf("%q of %q is no expression", side, line)
				return
			}
			if first != nil && first.Cmp(value) != 0 {
				t.Errorf("%q is not true", line)
			}
			first = value
		}
	}
}

var leadingZeros = regexp.MustCompile(`\b0+(\d)`) // which Go would read as octal

// evaluate is the value of an expression by Go's own parser: nothing of the package is used.
func evaluate(s string) *big.Rat {
	e, err := parser.ParseExpr(leadingZeros.ReplaceAllString(s, "$1"))
	if err != nil {
		return nil
	}
	return value(e)
}

func value(e ast.Expr) *big.Rat {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return value(e.X)
	case *ast.BasicLit:
		r, _ := new(big.Rat).SetString(e.Value)
		return r
	case *ast.UnaryExpr:
		if x := value(e.X); x != nil && e.Op == token.SUB {
			return x.Neg(x)
		}
	case *ast.BinaryExpr:
		x, y := value(e.X), value(e.Y)
		switch {
		case x == nil || y == nil:
		case e.Op == token.ADD:
			return x.Add(x, y)
		case e.Op == token.SUB:
			return x.Sub(x, y)
		case e.Op == token.MUL:
			return x.Mul(x, y)
		case e.Op == token.QUO && y.Sign() != 0:
			return x.Quo(x, y)
		}
	}
	return nil
}

func TestArithmeticIsChecked(t *testing.T) {
	for line, want := range map[string]bool{"7+5=12, carry 1: 2": true, "007+5=12": true, "7+5=13": false, "so 7*(2-5)=-21=3*-7": true,
		"8/3=2": false, "3x+1=10": true, "7*=7": false} {
		inner := &testing.T{}
		if checkArithmetic(inner, line); inner.Failed() == want {
			t.Errorf("%q: want %v", line, want)
		}
	}
}

func TestSameSeedSameDocument(t *testing.T) {
	for _, f := range Families() {
		write := func() string {
			rng := rand.New(rand.NewPCG(1, 2))
			var all []string
			for range 50 {
				all = append(all, f.Generate(rng, 1).Document(rng, true).String())
			}
			return strings.Join(all, "\n")
		}
		if a, b := write(), write(); a != b {
			t.Errorf("%s: two runs differ:\n%s\n%s", f.Name, a, b)
		}
	}
}

// TestDocumentsStay pins what one seed writes, 2,000 documents spread over a mixture: a run that reads them could not be resumed on others.
func TestDocumentsStay(t *testing.T) {
	m := Mixture{Start: 0, End: 1, Documents: 250_000, Plain: 0.4}
	h := sha256.New()
	for i := range 2000 {
		for _, s := range m.Document(1, i*125) {
			fmt.Fprintf(h, "%d %q\n", s.Kind, s.Text)
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != "bcb6a0c425f04a8617f2408c1cf252289566aad51ab73bf3bdd6c5d7d3f6046f" {
		t.Errorf("the documents of seed 1 have changed: their hash is %s", got)
	}
}

func TestRefusesWhateverIsNotTheAnswer(t *testing.T) {
	problems(t, func(t *testing.T, d float64, p Problem, rng *rand.Rand) {
		a := p.Answer
		for _, reply := range []string{"", " ", ".", "?", "0 1", a + " or " + a, a + "\n" + a, a + ", " + a, a + " " + a, a + "7",
			"7" + a,
			"The answer is not " + a, "the right one", "-" + a, a + "?", a + "=" + a + "=" + a, a + "\x00", a + "\xff", "<think>" + a,
			strings.Repeat("(", maxReply+1), strings.Repeat(a, maxReply), strings.Repeat("9", maxReply), strings.Map(fullWidth, a)} {
			if reply != a && p.Verify(reply) {
				t.Errorf("%q is taken for %q", reply, a)
			}
		}
	})
}

// fullWidth turns a digit into its full-width twin, and a letter too.
func fullWidth(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
		return r - ' ' + 0xFF00
	}
	return r
}

func TestMixture(t *testing.T) {
	m := Mixture{Start: 0, End: 1, Documents: 2000, Plain: 0.4}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	plain, n := 0, 0
	for d := range Documents(3, m) {
		if want := m.Document(3, n); !slices.Equal(d, want) {
			t.Fatalf("document %d of the stream is not document %d", n, n)
		}
		n++
		kinds := ""
		for _, s := range d {
			if s.Kind.Marker() {
				kinds += s.Text
			}
		}
		switch kinds {
		case UserMarker + AssistantMarker:
			plain++
		case UserMarker + AssistantMarker + ThinkMarker + EndThinkMarker:
		default:
			t.Fatalf("the markers of a document are %s", kinds)
		}
	}
	if n != m.Documents {
		t.Errorf("%d documents, not %d", n, m.Documents)
	}
	if share := float64(plain) / float64(n); math.Abs(share-0.4) > 0.08 {
		t.Errorf("%.2f without thinking", share)
	}
}

func TestMixtureCheck(t *testing.T) {
	for name, m := range map[string]Mixture{
		"no documents": {End: 1},
		"no family":    {End: 1, Documents: 1, Weights: map[string]float64{"chess": 1}},
		"negative":     {End: 1, Documents: 1, Weights: map[string]float64{"add": -1}},
		"NaN":          {End: 1, Documents: 1, Weights: map[string]float64{"add": math.NaN()}},
		"all zero":     {End: 1, Documents: 1, Weights: map[string]float64{"add": 0}},
		"falling":      {Start: 1, Documents: 1},
		"too hard":     {End: 9, Documents: 1},
		"no share":     {End: 1, Documents: 1, Plain: 2},
	} {
		if m.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNothingHeldOutIsTrainedOn works where problems are few, so that they come again: what is drawn without regard to the split
// meets held-out questions, and the stream never does, of no family: some ask the same.
func TestNothingHeldOutIsTrainedOn(t *testing.T) {
	const n = 2000
	held := map[string]string{} // the family of a question
	for _, easy := range []float64{0, 0.1, 0.3} {
		for _, f := range Families() {
			rng := source(1)
			for range n {
				if p := f.Generate(rng, easy); p.HeldOut() {
					held[p.Question] = f.Name
				}
			}
		}
	}
	met := 0
	for _, f := range Families() {
		rng := source(3)
		m := Mixture{Start: 0, End: 0.3, Documents: n, Weights: map[string]float64{f.Name: 1}}
		for d := range Documents(2, m) {
			if of, ok := held[d[1].Text]; ok {
				t.Errorf("%s: %q is held out of %s, and trained on", f.Name, d[1].Text, of)
			}
			if _, ok := held[f.Generate(rng, 0.1).Question]; ok {
				met++
			}
		}
	}
	if met < 100 {
		t.Errorf("only %d draws met a held-out question: this test proves nothing", met)
	}
	t.Logf("%d draws met one of %d held-out questions", met, len(held))
}

// TestTwins: what two families ask is held out by both or by neither.
func TestTwins(t *testing.T) {
	for _, twins := range [][2]Problem{
		{{Family: "add", puzzle: sum{a: 3, b: 4}}, {Family: "brackets", puzzle: bracketed{e: mustParse(t, "4+3")}}},
		{{Family: "add", puzzle: sum{a: 3, b: 14, minus: true}}, {Family: "brackets", puzzle: bracketed{e: mustParse(t, "3-14")}}},
		{{Family: "multiply", puzzle: product{12, 5}}, {Family: "brackets", puzzle: bracketed{e: mustParse(t, "5*12")}}},
		{{Family: "divide", puzzle: quotient{40, 8}}, {Family: "brackets", puzzle: bracketed{e: mustParse(t, "40/8")}}},
		{{Family: "countdown", puzzle: countdown{numbers: []int{9, 3, 2}, target: 6}}, {Family: "countdown4", puzzle: countdown{numbers: []int{9, 3, 2}, target: 6}}},
	} {
		for i, p := range twins {
			other := twins[1-i]
			if !slices.Contains(p.twins(), other.Family+" "+other.puzzle.key()) {
				t.Errorf("%s doesn't know its twin in %s: %q", p.Family, other.Family, p.twins())
			}
		}
	}
	for _, p := range []puzzle{sum{a: 3, b: 43}, sum{a: 0, b: 4}, quotient{41, 8}, bracketed{e: mustParse(t, "3+4+5")}, counting{word: "cat"}} {
		if names := (Problem{puzzle: p}).twins(); names != nil {
			t.Errorf("%+v has the twins %q", p, names)
		}
	}
	f, _ := ByName("brackets")
	for seed := range uint64(300) {
		if numbers := f.Generate(source(seed), MaxDifficulty).puzzle.(bracketed).e.numbers(nil); slices.Max(numbers) > maxTwin {
			t.Errorf("%v are more than %d", numbers, maxTwin)
		}
	}
}

func TestProblems(t *testing.T) {
	const enough = 40
	for _, f := range Families() {
		for _, heldOut := range []bool{false, true} {
			seen := map[string]bool{}
			for p := range Problems(1, f, 1, heldOut, enough) {
				if p.HeldOut() != heldOut || seen[p.Key] {
					t.Fatalf("%s: %q is held out %v, and seen before %v", f.Name, p.Key, p.HeldOut(), seen[p.Key])
				}
				seen[p.Key] = true
			}
			if f.Graded && len(seen) != enough {
				t.Errorf("%s: %d problems with held out %v", f.Name, len(seen), heldOut)
			}
		}
	}
}

func TestHeldOutShare(t *testing.T) {
	for _, f := range Families() {
		rng := rand.New(rand.NewPCG(1, 1))
		keys := map[string]bool{}
		for range 4000 {
			p := f.Generate(rng, 1)
			keys[p.Key] = p.HeldOut()
		}
		held := 0
		for _, h := range keys {
			if h {
				held++
			}
		}
		n, want := float64(len(keys)), 0.05
		if strings.HasPrefix(f.Name, "countdown") {
			want *= want // as both must hold it out
		}
		share, sigma := float64(held)/n, math.Sqrt(want/n)
		if f.Graded && math.Abs(share-want) > 4*sigma || !f.Graded && held > 0 {
			t.Errorf("%s: %.3f of %d problems are held out", f.Name, share, len(keys))
		}
	}
}

func TestSelect(t *testing.T) {
	for names, want := range map[string]int{"all": 15, "shipped": 10, "stretch": 5, "add,story": 2, "stretch,add": 6,
		"add,add": 0, "all,add": 0, "talk": 0, "chess": 0} {
		got, err := Select(strings.Split(names, ","))
		if len(got) != want && want > 0 || (err == nil) != (want > 0) {
			t.Errorf("%s: %v, %v", names, got, err)
		}
	}
}
