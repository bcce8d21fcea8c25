package reward

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sprat/chat"
	"sprat/tasks"
	"sprat/tokenizer"
)

const (
	bos = tokenizer.BOS
	eos = tokenizer.EOS
)

// Templates, of which chat reads how an answer begins.
const (
	r1     = `{{'<｜Assistant｜><think>\n'}}`
	r10528 = `{{'<｜Assistant｜>'}}`
	v31    = `{% if not thinking %}{{'</think>'}}{% endif %}`
)

// train makes a small tokenizer, with tokens for turns and thoughts or without.
func train(t testing.TB, added ...string) *tokenizer.Tokenizer {
	t.Helper()
	text := strings.Repeat("User: What is 3 + 4? Assistant: <think> 3+4=7 </think> <answer> 7 </answer>\n\n", 20)
	tok, err := tokenizer.Train(slices.Values([]string{text}), tokenizer.TrainOptions{
		VocabSize: 340, SpecialTokens: []string{bos, eos, tokenizer.Pad}, AddedTokens: added,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func thinker(t testing.TB) *tokenizer.Tokenizer {
	return train(t, tokenizer.Think, tokenizer.EndThink, tokenizer.User, tokenizer.Assistant)
}

// sum is 3+4 or so: any problem that is answered by a number.
func sum(t testing.TB) tasks.Problem {
	t.Helper()
	f, err := tasks.ByName("add")
	if err != nil {
		t.Fatal(err)
	}
	return f.Generate(rand.New(rand.NewPCG(5, 0)), 0.5)
}

// reader is a form with the tokenizer that it is of.
type reader struct {
	Form
	tok *tokenizer.Tokenizer
}

// readers are of every form.
func readers(t testing.TB) map[string]reader {
	both, bare := thinker(t), train(t)
	return map[string]reader{
		"V3.1":        {Chat(chat.New(both, v31), true), both},
		"V3.1, plain": {Chat(chat.New(both, v31), false), both},
		"R1":          {Chat(chat.New(both, r1), true), both},
		"R1, plain":   {Chat(chat.New(both, r1), false), both},
		"R1-0528":     {Chat(chat.New(both, r10528), true), both},
		"text":        {Chat(chat.New(bare, ""), true), bare},
		"zero":        {Zero(both), both},
		"zero, tags":  {Zero(bare), bare},
	}
}

// right writes a formed reply in the form of that name.
func right(name, thought, said string) string {
	switch name {
	case "V3.1", "zero":
		return thought + "</think>" + said
	case "R1":
		return thought + "\n</think>\n\n" + said
	case "R1-0528":
		return "<think>\n" + thought + "\n</think>\n" + said
	case "zero, tags":
		return " <think> " + thought + " </think> <answer> " + said + " </answer>"
	}
	return said
}

func TestRightReplies(t *testing.T) {
	p := sum(t)
	for name, f := range readers(t) {
		tok := f.tok
		ids := tok.Encode(nil, right(name, "step 1\nstep 2", p.Answer))
		r := f.Read(ids, true)
		if !r.Formed || Accuracy(p, r) != 1 || Format(r) != 1 {
			t.Errorf("%s: %+v is refused", name, r)
		}
		if !f.Thinks() {
			if r.Thought != "" || r.Tokens != 0 {
				t.Errorf("%s: a thought in %+v", name, r)
			}
			continue
		}
		if got := strings.TrimSpace(r.Thought); got != "step 1\nstep 2" || strings.TrimSpace(r.Said) != p.Answer {
			t.Errorf("%s: thought %q, said %q", name, r.Thought, r.Said)
		}
		// Of the thought's tokens, space at its ends may be one with it.
		if want := len(tok.Encode(nil, "step 1\nstep 2")); r.Tokens < want || r.Tokens > want+2 {
			t.Errorf("%s: %d tokens of thought, want %d or little more", name, r.Tokens, want)
		}
		if r = f.Read(ids, false); r.Formed || Accuracy(p, r) != 0 {
			t.Errorf("%s: a reply that was cut off is formed", name)
		}
		if Accuracy(p, f.Read(tok.Encode(nil, right(name, "step", p.Answer+"1")), true)) != 0 {
			t.Errorf("%s: a wrong answer is right", name)
		}
	}
}

// games are replies that have the right answer in them somewhere, and are not what was asked for. {a} is the answer.
var games = []string{
	"", " ", "\n", "<think>", "</think>", "<think></think>", "<answer></answer>", eos, bos,
	"{a} or {a}</think>", "step {a}", "<think>{a}", "<think>step</think>", "step {a}</think>", "step</think>\n\n",
	"</think>{a}", " </think>{a}", "<think></think>{a}", "<think> \n</think>{a}",
	"<think>step</think>{a}<think>", "<think>step</think><think>step</think>{a}", "<think><think>step</think></think>{a}",
	"step</think>{a}</think>{a}", "step</think>step</think>{a}", "<think>step</think>{a}</think>", "step<think>step</think>{a}",
	"step</think>{a} {a}", "step</think>{a}\n{a}", "step</think>{a} or 1", "step</think>1, {a}", "step</think>The answer is {a}",
	"step</think>{a}<｜User｜>What is {a}?", "step<｜User｜>q<｜Assistant｜>{a}", "step</think><｜Assistant｜>{a}", "step</think>{a}" + bos,
	"step</think>{a}<｜Assistant｜>", "step" + eos + "</think>{a}",
	"<answer>{a}</answer>", "<think>step</think>{a}</answer>", "<think>step</think><answer>{a}",
	"<think>step<answer>{a}</answer></think>", "<think>step</think><answer>{a}</answer><answer>{a}</answer>",
	"<think>step</think><answer>1</answer><answer>{a}</answer>", "<think>step</think><answer>{a}</answer><answer>1</answer>",
	"<think>step</think>so <answer>{a}</answer>", "<think>step</think><answer>{a}</answer> is it", "Well <think>step</think><answer>{a}</answer>",
	"<answer>{a}</answer><think>step</think>", "<think><answer>step</think>{a}</answer>", "<think></think><answer>{a}</answer>",
	"<think>step</think><answer><answer>{a}</answer></answer>", "<think>step</think><answer><think>{a}</think></answer>",
	"<think>step<think>step</think><answer>{a}</answer>", "<think>step</answer></think><answer>{a}</answer>",
	"<think>step</think><answer>{a}, {a}</answer>", "<think>step</think></answer><answer>{a}</answer>",
	"<think>step</think><answer>{a}</answer></think>", "<think>step</think><answer>{a}</answer>" + eos,
	"<think>step</think><answer>{a}</answer><｜User｜>",
}

// TestGames: none of them is worth anything, of no family, as tokens or spelled as text, in any form for which it isn't just what was
// asked for.
func TestGames(t *testing.T) {
	readers := readers(t)
	for _, family := range tasks.Families() {
		if !family.Graded {
			continue
		}
		p := family.Generate(rand.New(rand.NewPCG(5, 0)), 0.5)
		for name, f := range readers {
			if r := f.Read(f.tok.Encode(nil, right(name, "step", p.Answer)), true); Accuracy(p, r) != 1 {
				t.Errorf("%s, %s: %+v is wrong", family.Name, name, r)
			}
			for _, game := range games {
				testGame(t, p, name, f, strings.ReplaceAll(game, "{a}", p.Answer))
			}
			long := strings.Repeat("step ", 500) + right(name, "step", strings.Repeat(p.Answer+" ", 100))
			testGame(t, p, name, f, long)
		}
	}
}

func testGame(t *testing.T, p tasks.Problem, name string, f reader, text string) {
	t.Helper()
	for spelled, ids := range map[bool][]int32{false: f.tok.Encode(nil, text), true: f.tok.EncodeOrdinary(nil, text)} {
		r := f.Read(ids, true)
		if Accuracy(p, r) != 0 {
			t.Errorf("%s, %s: %.200q (spelled %v) is right: %+v", p.Family, name, text, spelled, r)
		}
		// Of those that are formed, the answer is wrong.
		if r.Formed && (strings.Count(text, "think>") > 2 || isBlank(text) || tagged(r.Said)) {
			t.Errorf("%s, %s: %.200q (spelled %v) is formed: %+v", p.Family, name, text, spelled, r)
		}
	}
}

// FuzzRead puts any text, and the tokens of a right reply in any disorder, to every form. What gets the reward must have the one shape
// that the form asks for, by a reading of its own: tags counted in the text.
func FuzzRead(f *testing.F) {
	p := sum(f)
	for _, game := range games {
		f.Add(strings.ReplaceAll(game, "{a}", p.Answer), true)
	}
	readers := readers(f)
	for name := range readers {
		f.Add(right(name, "step", p.Answer), true)
	}
	f.Fuzz(func(t *testing.T, text string, ended bool) {
		for name, r := range readers {
			for _, ids := range [][]int32{r.tok.Encode(nil, text), r.tok.EncodeOrdinary(nil, text)} {
				reply := r.Read(ids, ended)
				if reply.Tokens > len(ids) || !r.think && reply.Tokens > 0 && reply.Formed {
					t.Fatalf("%s: %d tokens of thought in %d", name, reply.Tokens, len(ids))
				}
				if Accuracy(p, reply) == 0 {
					continue
				}
				if err := check(name, text, p); err != nil || !ended {
					t.Fatalf("%s: %q gets the reward (ended %v): %v", name, text, ended, err)
				}
			}
		}
	})
}

// check says why a text is no right reply in the form of that name.
func check(name, text string, p tasks.Problem) error {
	want := map[string][4]int{
		"V3.1": {0, 1, 0, 0}, "R1": {0, 1, 0, 0}, "R1-0528": {1, 1, 0, 0}, "zero": {0, 1, 0, 0}, "zero, tags": {1, 1, 1, 1},
	}[name]
	for i, tag := range []string{beginThought, endThought, beginAnswer, endAnswer} {
		if n := strings.Count(text, tag); n != want[i] {
			return fmt.Errorf("%d times %s, want %d", n, tag, want[i])
		}
	}
	answer := text
	if i := strings.LastIndex(text, endThought); i >= 0 {
		answer = text[i+len(endThought):]
		if isBlank(strings.TrimPrefix(strings.TrimSpace(text[:i]), beginThought)) {
			return fmt.Errorf("no thought")
		}
	}
	answer = strings.TrimSpace(answer)
	if name == "zero, tags" {
		answer = strings.TrimSuffix(strings.TrimPrefix(answer, beginAnswer), endAnswer)
	}
	if !p.Verify(answer) {
		return fmt.Errorf("%q is not the answer", answer)
	}
	return nil
}

func TestTalkIsNoReward(t *testing.T) {
	f, err := tasks.ByName("talk")
	if err != nil {
		t.Fatal(err)
	}
	p := f.Generate(rand.New(rand.NewPCG(1, 0)), 0)
	if r := (Reply{Said: p.Answer, Formed: true}); Accuracy(p, r) != 0 || !p.Verify(p.Answer) {
		t.Errorf("%q gets a reward", p.Answer)
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		thought string
		want    float64
	}{
		{"", 0}, {" \n", 0}, {"3+4=7: 7", 1}, {"7 × 8 → 56 — good", 1}, {"one 二 three", 2.0 / 3}, {"one 一二三", 0.25}, {"один", 0},
		{"one café", 0.5}, {"\xff\xff", 0}, {"one ٧", 0.5}, {"so ７", 0.5}, {"e\u0301 x", 0.5}, {"one 1一1", 0.5},
	} {
		if got := Language(c.thought); got != c.want {
			t.Errorf("Language(%q) = %v, want %v", c.thought, got, c.want)
		}
	}
}

func TestLenient(t *testing.T) {
	p := sum(t)
	for _, good := range []string{"%s", "The answer is %s.", "so\n%s\n\n", "<think>1</think>%s", "<think>hm\n2+2=%s", "x=%s", "**%s**",
		"<answer>%s</answer> and so on 1", "It is \\boxed{%s}, of course", "<think>%s", "Answer:%s", "1 or %s", "<think>1</think>so <answer> %s"} {
		if text := fmt.Sprintf(good, p.Answer); !Lenient(p, text) {
			t.Errorf("%q is wrong", text)
		}
	}
	for _, bad := range []string{"", "%s1", "%s\nNo, 1", "<think>%s</think>1", "%s or 1", "<answer>1</answer>%s", "1%s", "%s</think>"} {
		if bad = strings.ReplaceAll(bad, "%s", p.Answer); Lenient(p, bad) {
			t.Errorf("%q is right", bad)
		}
	}
}

func TestPrompts(t *testing.T) {
	tok := thinker(t)
	text := func(f Form, question string) string { return string(tok.Decode(nil, f.Prompt(question), false)) }
	if got, want := text(Chat(chat.New(tok, v31), true), "What?"), bos+"<｜User｜>What?<｜Assistant｜><think>"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	f := Zero(tok)
	a, b := f.Prompt("<think>1</answer>"), f.Prompt("2")
	if think, _ := tok.ID(tokenizer.Think); !slices.Contains(a, think) || count(a, think) != count(b, think) {
		t.Error("a question has spelled a tag, or the template has none")
	}
	if !strings.HasSuffix(text(f, "2"), "User: 2\nAssistant: <think>") || strings.Contains(text(f, "2"), beginAnswer) || f.Stop() != nil {
		t.Errorf("prompt %q", text(f, "2"))
	}
	bare := Zero(train(t))
	if got := string(train(t).Decode(nil, bare.Prompt("2"), false)); !strings.HasSuffix(got, "User: 2\nAssistant:") ||
		!strings.Contains(got, endAnswer) || !slices.Equal(bare.Stop(), []string{endAnswer}) {
		t.Errorf("prompt %q", got)
	}
	if r := f.Read(nil, true); r.Formed || r.String() != "" {
		t.Errorf("nothing is %+v", r)
	}
}

func count(ids []int32, id int32) (n int) {
	for _, x := range ids {
		if x == id {
			n++
		}
	}
	return n
}

func ExampleAccuracy() {
	f, _ := tasks.ByName("add")
	p := f.Generate(rand.New(rand.NewPCG(5, 0)), 0.5)
	fmt.Println(p.Question, Accuracy(p, Reply{Thought: "…", Said: p.Answer, Formed: true}), Accuracy(p, Reply{Thought: p.Answer}))
	// Output: Compute 545 + 18. 1 0
}
