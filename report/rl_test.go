package report

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPageOfReinforcement has every line of it: the charts that it gets, its exams at first and now, and its replies.
func TestPageOfReinforcement(t *testing.T) {
	text := start + reinforced(0, 0, 0)
	for i := 1; i <= 4; i++ {
		text += steps(i, i, 0, 0) + reinforced(i, 10*i, 100*i)
	}
	page := pageOf(t, text)
	want := "Held-out Held-out Reward Samples Tokens KL Entropy, Share Groups Ledger Held-out sum"
	if got := titles(page); got != want {
		t.Errorf("the page has %s\nwant %s", got, want)
	}
	for _, has := range []string{"0.0 → 40.0 ± 5.0", "60 → 60", "50.0 %", "<h3>step 3, right</h3>", `<pre class="thought">step 3</pre>` + "\n" + `<pre class="answer">2</pre>`} {
		if !strings.Contains(page, has) {
			t.Errorf("the page says nothing of %q", has)
		}
	}
	if got := titles(pageOf(t, reinforced(2, 20, 200))); got != want {
		t.Errorf("without steps the page has %s\nwant %s", got, want)
	}
}

// TestExamsSatAgain has a session killed in its exams and begun again: each counts once, the last time.
func TestExamsSatAgain(t *testing.T) {
	exam := func(step int, family string, pass float64) string {
		return fmt.Sprintf(`{"kind":"exam","step":%d,"tokens":%d,"seconds":%d,"family":%q,"pass":%v}`+"\n", step, 10*step, 100*step, family, pass)
	}
	r := read(t, start+exam(0, "a", 0.1)+exam(0, "b", 0.2)+start+exam(0, "a", 0.3)+exam(0, "b", 0.5)+exam(0, "c", 0.4)+steps(1, 1, 0, 0)+exam(1, "b", 0.75))
	if a, b := r.exams(byTokens, "a", pass), r.exams(bySeconds, "b", pass); !reflect.DeepEqual(a.y, []float64{0.3}) ||
		!reflect.DeepEqual(b.y, []float64{0.5, 0.75}) || !reflect.DeepEqual(b.x, []float64{0, 100}) {
		t.Errorf("the curves are %v and %v", a, b)
	}
	if mean := r.exams(bySteps, "", pass); len(mean.y) != 2 || !near(mean.y[0], 0.4) || mean.y[1] != 0.75 {
		t.Errorf("the means are %v", mean.y)
	}
}

// TestReplies takes replies apart, and has of many the first, the latest and some between.
func TestReplies(t *testing.T) {
	for _, c := range []struct{ reply, thought, said string }{
		{"<think>\na\n</think>\n\nb", "a", "b"},
		{"a</think>b", "a", "b"}, // the prompt opened it
		{"b", "", "b"},
		{" <think>a", "a", "(the thought has no end)"},
		{"<think></think>b", "", "b"},
		{"<think>a</think>b</think>c", "a", "b</think>c"},
		{"", "", ""},
	} {
		if got := replyOf(Transcript{Reply: c.reply}); got.Thought.Text != c.thought || got.Said.Text != c.said {
			t.Errorf("%q is the thought %q and the answer %q", c.reply, got.Thought.Text, got.Said.Text)
		}
	}
	r := &Run{}
	for step := range 101 {
		for q := range maxProblems + 3 {
			v := Transcript{Step: step, Question: fmt.Sprint(q)}
			r.Transcripts = append(r.Transcripts, v)
			v.Right = true // told again
			r.Transcripts = append(r.Transcripts, v)
		}
	}
	list := r.problems()
	if len(list) != maxProblems {
		t.Fatalf("%d problems", len(list))
	}
	for i, p := range list {
		var at []int
		for _, reply := range p.Replies {
			if at = append(at, reply.Step); !reply.Right {
				t.Errorf("problem %d, step %d: the first telling counts", i, reply.Step)
			}
		}
		if !reflect.DeepEqual(at, []int{0, 25, 50, 75, 100}) {
			t.Errorf("problem %d has replies of %v", i, at)
		}
	}
}

// TestHostileReplies has markup and long texts where a model could write them.
func TestHostileReplies(t *testing.T) {
	const bad = `</pre></details></section></title><script>alert(1)</script><img src=http://x onerror=alert(1)>` + "\x1b[2J\r\u202e\xff"
	long := strings.Repeat("x ", 1<<20) + "end"
	dir, _ := written(t, func(w *Writer) error {
		if err := w.Exam(Exam{Family: bad, Pass: math.NaN()}); err != nil {
			return err
		}
		for step, reply := range []string{bad, "<think>" + bad, "<think>" + long + "</think>" + bad} {
			if err := w.Transcript(Transcript{Step: step, Family: bad, Question: bad, Answer: bad, Reply: reply}); err != nil {
				return err
			}
		}
		return nil
	})
	page := madeIn(t, dir)
	if n := strings.Count(page, "&lt;script&gt;"); n != 7 || strings.ContainsAny(page, "\x1b\r\u202e") || !utf8.ValidString(page) {
		t.Errorf("what was written appears %d times, or with its escape codes", n)
	}
	if !strings.Contains(page, "[…]") || len(page) > 100<<10 {
		t.Errorf("a page of %d bytes of a thought of %d", len(page), len(long))
	}
}

// TestCompareReinforcement sets runs of reinforcement side by side, and one beside a run of another kind.
func TestCompareReinforcement(t *testing.T) {
	a := named(t, "a", start+steps(1, 2, 0, 0)+reinforced(2, 20, 200))
	b := named(t, "b", start+steps(1, 3, 0, 0)+reinforced(3, 30, 300))
	c := Compare([]*Run{a, b, named(t, "c", start+steps(1, 2, 0, 0))})
	text, err := json.Marshal(c.Runs)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), `"accuracy":0.5,"length":70,"pass":0.`); n != 2 {
		t.Errorf("%d runs have numbers of reinforcement in %s", n, text)
	}
	table := c.Tables()[0]
	if got := strings.Join(table.Rows[1][5:8], " "); got != "0.500 70.0 0.300" || strings.Join(table.Rows[2][5:8], " ") != "– – –" {
		t.Errorf("the table is %v", table)
	}
	panels, err := draws(c.charts())
	if err != nil {
		t.Fatal(err)
	}
	has := ""
	for _, p := range panels {
		has += p.Title + ";"
	}
	if !strings.Contains(has, "Accuracy of samples;Tokens a sample;Held-out pass@1") {
		t.Errorf("the charts are %s", has)
	}
}
