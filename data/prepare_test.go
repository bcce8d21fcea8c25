package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sprat/tokenizer"
)

// said is what Prepare says, and its error.
func said(t *testing.T, spec Spec) (string, error) {
	t.Helper()
	var out bytes.Buffer
	set, err := Prepare(context.Background(), &spec, bytesTokenizer(t), &out)
	if err == nil {
		set.Close()
	}
	return out.String(), err
}

func TestPrepareAgain(t *testing.T) {
	file := jsonl(t, "one", "two")
	spec := Spec{Dir: filepath.Join(t.TempDir(), "deep", "data"), Train: []string{file}}
	const again = "made earlier"
	shard := filepath.Join(spec.Dir, "text.train.tokens")
	damage := func(path string, at int64) func() {
		return func() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte{1, 1}, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func()
		reused bool
		want   string // in what it says
	}{
		{"first", func() {}, false, "text, train: 2 documents"},
		{"unchanged", func() {}, true, again},
		{"another file", func() { os.WriteFile(file, []byte(`{"text":"three"}`), 0o600) }, false, "1 documents"},
		{"same size, later", func() { os.Chtimes(file, time.Now(), time.Now().Add(time.Hour)) }, false, "1 documents"},
		{"packing, weight, order", func() {
			spec.Pack, spec.Train, spec.Source = Borders, nil, []Source{{Name: "text", Files: spec.Train, Weight: 2.0, Order: File}}
		}, true, again},
		{"duplicates", func() { spec.Duplicates = Exact }, false, "1 documents"},
		{"fim", func() { spec.Source[0].FIM = 0.5 }, false, "1 documents"},
		{"damaged shard", damage(shard, headerSize), false, "checksum is wrong; making it again"},
		{"shard of another run", func() { os.WriteFile(shard, makeShard(t, 300, []int32{5}), 0o600) }, false, "not the shard that"},
		{"lost shard", func() { os.Remove(shard) }, false, "making it again"},
		{"damaged manifest", damage(filepath.Join(spec.Dir, manifestName), 0), false, "making it again"},
		{"another name", func() { spec.Source[0].Name = "books" }, false, "books, train"},
		{"unchanged at the end", func() {}, true, again},
	} {
		c.change()
		out, err := said(t, spec)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if strings.Contains(out, again) != c.reused || !strings.Contains(out, c.want) {
			t.Errorf("%s: it says %q, want %q in it", c.name, out, c.want)
		}
		entries, err := os.ReadDir(spec.Dir)
		if err != nil || len(entries) != 2 {
			t.Errorf("%s: %d files are left, want a shard and a manifest: %v %v", c.name, len(entries), entries, err)
		}
	}
}

func TestPrepareErrors(t *testing.T) {
	good := jsonl(t, "one")
	broken := write(t, "b.jsonl", "{")
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec Spec
		want []string
	}{
		"no such file":     {Spec{Train: []string{"/nowhere.txt"}}, []string{"/nowhere.txt"}},
		"empty":            {Spec{Train: []string{write(t, "a.txt", "")}}, []string{"source text, train", "no text"}},
		"empty validation": {Spec{Train: []string{good}, Valid: []string{write(t, "a.txt", "")}}, []string{"source text, valid", "no text"}},
		"broken":           {Spec{Train: []string{good, broken}}, []string{broken, "line 1"}},
		"all duplicates":   {Spec{Train: []string{good}, Valid: []string{good}, Duplicates: Exact}, []string{"no text is left"}},
		"contamination":    {Spec{Train: []string{good}, Decontaminate: []string{broken}}, []string{"decontamination", broken}},
		"directory":        {Spec{Dir: filepath.Join(blocked, "x"), Train: []string{good}}, []string{blocked}},
		"spec":             {Spec{Train: []string{good}, Pack: "tight"}, []string{"data.pack"}},
	} {
		if c.spec.Dir == "" {
			c.spec.Dir = t.TempDir()
		}
		out, err := said(t, c.spec)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one of one line; it says %q", name, err, out)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q in it", name, err, want)
			}
		}
		if entries, _ := os.ReadDir(c.spec.Dir); len(entries) > 0 {
			t.Errorf("%s: it leaves %v", name, entries)
		}
	}
}

func TestPrepareStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	_, err := Prepare(ctx, &Spec{Dir: dir, Train: []string{jsonl(t, "one")}}, bytesTokenizer(t), io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("it leaves %v", entries)
	}
}

func TestHash(t *testing.T) {
	file := jsonl(t, "one", "two")
	base := func() Spec { return Spec{Source: []Source{{Name: "a", Files: []string{file}}}} }
	seen := map[string]string{}
	for _, c := range []struct {
		name   string
		change func(*Spec)
	}{
		{"base", func(s *Spec) {}},
		{"pack", func(s *Spec) { s.Pack = Borders }},
		{"name", func(s *Spec) { s.Source[0].Name = "b" }},
		{"weight", func(s *Spec) { s.Source[0].Weight = 2.0 }},
		{"order", func(s *Spec) { s.Source[0].Order = File }},
		{"text", func(s *Spec) { s.Source[0].Files = []string{file, file} }},
		{"another source", func(s *Spec) { s.Source = append(s.Source, Source{Name: "c", Files: []string{file}}) }},
	} {
		spec := base()
		c.change(&spec)
		set := prepare(t, spec)
		if other, ok := seen[set.Hash()]; ok {
			t.Errorf("%s and %s have one hash", c.name, other)
		}
		seen[set.Hash()] = c.name
	}
	if set := prepare(t, base()); seen[set.Hash()] != "base" {
		t.Error("the same text in another directory has another hash")
	}
}

// docs are the documents of a shard, as text.
func (s *shard) docs(t *testing.T) []string {
	t.Helper()
	text := shown(t, all(t, s))
	return strings.Split(strings.TrimSuffix(text, "|"), "|")
}

const fox = "The quick brown fox jumps over the lazy dog, and then it runs through the dark wood to the river"

func TestDuplicates(t *testing.T) {
	near := fox + " again"
	docs := []string{"one", fox, "two", "one", near, "held out", "two"}
	for mode, want := range map[string]struct {
		docs []string
		drop dropped
	}{
		Keep:  {docs, dropped{}},
		Exact: {[]string{"one", fox, "two", near}, dropped{Duplicates: 3}},
		Near:  {[]string{"one", fox, "two"}, dropped{Duplicates: 3, Near: 1}},
	} {
		dir := t.TempDir()
		set := prepare(t, Spec{Dir: dir, Duplicates: mode, Source: []Source{
			{Name: "a", Files: []string{jsonl(t, docs[:3]...)}},
			{Name: "b", Files: []string{jsonl(t, append([]string{"new"}, docs[3:]...)...)}, Valid: []string{jsonl(t, "held out", "held out")}},
		}})
		got := append(set.sources[0].shard.docs(t), set.sources[1].shard.docs(t)[1:]...)
		if !slices.Equal(got, want.docs) {
			t.Errorf("%s: %q, want %q", mode, got, want.docs)
		}
		if v := set.Valid()[0].shard.docs(t); len(v) != 2 {
			t.Errorf("%s: validation text is %q, want it as it is", mode, v)
		}
		m, err := readManifest(dir)
		if err != nil {
			t.Fatal(err)
		}
		var sum dropped
		for _, r := range m.Shards {
			sum.Duplicates, sum.Near = sum.Duplicates+r.Duplicates, sum.Near+r.Near
		}
		if sum != want.drop {
			t.Errorf("%s: left out %+v, want %+v", mode, sum, want.drop)
		}
	}
}

// TestNearDuplicatesFollowSimilarity: pairs that share a given part of their shingles are caught as often as the method's
// formula, 1 - (1 - J^8)^14, says: of 400 pairs, to within 5 standard deviations.
func TestNearDuplicatesFollowSimilarity(t *testing.T) {
	const pairs, shingles = 400, 100
	for _, j := range []float64{0.3, 0.6, 0.8, 0.95} {
		shared := int(2 * shingles * j / (1 + j)) // |A∩B| = s, |A∪B| = 2·100 - s
		caught := 0.0
		for pair := range pairs {
			var a, b []uint64
			for i := range shingles + shingle - 1 {
				w := mix(uint64(pair*1000 + i))
				a, b = append(a, w), append(b, w)
				if i >= shared+shingle-1 {
					b[i]++
				}
			}
			x, y := bandHashes(a), bandHashes(b)
			for i := range x {
				if x[i] == y[i] {
					caught++
					break
				}
			}
		}
		exact := float64(shared) / float64(2*shingles-shared)
		p := 1 - math.Pow(1-math.Pow(exact, bandRows), bands)
		if sigma := 5*math.Sqrt(p*(1-p)*pairs) + 1; caught < p*pairs-sigma || caught > p*pairs+sigma {
			t.Errorf("J = %.2f: %v of %d pairs are caught, want about %.0f", exact, caught, pairs, p*pairs)
		}
	}
}

func TestDecontamination(t *testing.T) {
	exam := write(t, "exam.jsonl", fmt.Sprintf(`{"id":7,"choices":["short text",{"q":%q}]}`, strings.ToUpper(fox)))
	inside := "He wrote: the quick — brown fox jumps over the lazy dog and THEN it runs? Yes."
	outside := "He wrote: the quick brown fox jumps over the lazy cat and then it runs."
	for n, want := range map[int][]string{0: {"a", outside, "z"}, 7: {"a", "z"}, 19: {"a", inside, outside, "z"}} {
		spec := Spec{Decontaminate: []string{exam}, DecontaminateWords: n, Train: []string{jsonl(t, "a", inside, outside, "z")}, Valid: []string{jsonl(t, inside)}}
		spec.Dir = t.TempDir()
		out, err := said(t, spec)
		if err != nil {
			t.Fatal(err)
		}
		set := prepare(t, spec)
		if got := set.sources[0].shard.docs(t); !slices.Equal(got, want) {
			t.Errorf("%d words: %q, want %q", n, got, want)
		}
		if got := set.Valid()[0].shard.docs(t); got[0] != inside {
			t.Errorf("%d words: validation text is %q, want it as it is", n, got)
		}
		if dropped := 4 - len(want); dropped > 0 && !strings.Contains(out, fmt.Sprintf("left out: %d contaminated", dropped)) || !strings.Contains(out, "shorter") {
			t.Errorf("%d words: it says %q", n, out)
		}
	}
}

func TestWords(t *testing.T) {
	same := [][2]string{{"Don't stop", "don t STOP!"}, {"日本 語", "日本語"}, {"ÄRGER", "ärger"}, {" a  b\n", "a,b"}}
	for _, s := range same {
		if !slices.Equal(words(nil, s[0]), words(nil, s[1])) {
			t.Errorf("%q and %q differ", s[0], s[1])
		}
	}
	for text, n := range map[string]int{"": 0, "…": 0, "one": 1, "one 2 three4": 3, "日本語": 3, "नमस्ते": 1} {
		if got := len(words(nil, text)); got != n {
			t.Errorf("%q has %d words, want %d", text, got, n)
		}
	}
}

// TestFillInTheMiddle: documents rearranged give back the text, about as many as asked for, and cuts fall between characters.
func TestFillInTheMiddle(t *testing.T) {
	tok := bytesTokenizer(t)
	const rate, n = 0.3, 1000
	m, err := newMiddle(rate, tok)
	if err != nil {
		t.Fatal(err)
	}
	c := &coder{tok: tok, eos: 1, filter: newFilter(&Spec{}), fim: m}
	b := &batch{}
	for i := range n {
		b.docs = append(b.docs, document{{text: fmt.Sprintf("héllo 世界 %d", i)}})
	}
	c.encode(b)
	at, rearranged := 0, 0
	for i, e := range b.done {
		want := fmt.Sprintf("héllo 世界 %d", i)
		got := string(tok.Decode(nil, b.ids[at:e.end], false))
		at = e.end
		got, ok := strings.CutSuffix(got, tokenizer.EOS)
		if !ok || e.bytes != len(want) {
			t.Fatalf("%q, %d bytes, want an end and %d", got, e.bytes, len(want))
		}
		if rest, ok := strings.CutPrefix(got, tokenizer.FIMBegin); ok {
			rearranged++
			prefix, rest, ok1 := strings.Cut(rest, tokenizer.FIMHole)
			suffix, middle, ok2 := strings.Cut(rest, tokenizer.FIMEnd)
			if !ok1 || !ok2 || strings.ToValidUTF8(got, "") != got {
				t.Fatalf("%q", got)
			}
			got = prefix + middle + suffix
		}
		if got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	// 5 standard deviations of 1,000 draws.
	if rearranged < 300-73 || rearranged > 300+73 {
		t.Errorf("%d of %d documents are rearranged, want about %v", rearranged, n, rate*n)
	}
	plain, err := tokenizer.Train(slices.Values([]string{""}), tokenizer.TrainOptions{VocabSize: 300, SpecialTokens: []string{tokenizer.EOS}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newMiddle(1, plain); err == nil || !strings.Contains(err.Error(), "fim") {
		t.Errorf("a tokenizer without the tokens: %v", err)
	}
}

func TestGeneratedProblems(t *testing.T) {
	source := Source{Name: "sums", Tasks: []string{"add", "add", "multiply"}, Documents: 500, Order: File}
	set := prepare(t, Spec{Pack: Borders, Duplicates: Near, Source: []Source{source}})
	s := set.sources[0].shard
	if s.documents != 500 || len(set.Valid()) != 1 {
		t.Fatalf("%d documents, %d validation texts", s.documents, len(set.Valid()))
	}
	tok := bytesTokenizer(t)
	user, _ := tok.ID(tokenizer.User)
	markers := 0
	for _, id := range all(t, s) {
		if id == user {
			markers++
		}
	}
	if markers != 500 {
		t.Errorf("%d of the markers before questions, want 500", markers)
	}
	held := map[string]bool{}
	for _, d := range set.Valid()[0].shard.docs(t) {
		question, _, _ := strings.Cut(d, tokenizer.Assistant)
		held[question] = true
	}
	if len(held) < 150 {
		t.Errorf("%d different questions to validate on, want about 200", len(held))
	}
	for _, d := range s.docs(t) {
		if question, _, _ := strings.Cut(d, tokenizer.Assistant); held[question] {
			t.Fatalf("trained on %q, which is held out", question)
		}
	}
	var texts int
	for text, err := range (&Spec{Source: []Source{source}}).Text() {
		if err != nil || text == "" {
			t.Fatal(text, err)
		}
		texts++
	}
	if texts < 1000 {
		t.Errorf("%d pieces of text for a tokenizer, want a question and an answer of each", texts)
	}
}

// TestSilence: exactly the tokens that touch a span are no targets, and Next says so.
func TestSilence(t *testing.T) {
	tok, err := tokenizer.Train(slices.Values([]string{strings.Repeat("abab cdcd ", 9)}), tokenizer.TrainOptions{VocabSize: 263, SpecialTokens: []string{tokenizer.EOS}})
	if err != nil {
		t.Fatal(err)
	}
	c := &coder{tok: tok}
	text := "abab cdcd abab."
	for from := range len(text) {
		for to := from + 1; to <= len(text); to++ {
			ids, size := c.append(nil, document{{text: text, silent: []span{{from, to}}}})
			at, heard := 0, 0
			for _, id := range ids[:len(ids)-1] {
				end := at + len(tok.Decode(nil, []int32{id &^ noTarget}, false))
				if silent := from < end && to > at; silent != (id < 0) {
					t.Fatalf("span %d to %d: token of bytes %d to %d is silent: %t", from, to, at, end, id < 0)
				} else if !silent {
					heard += end - at
				}
				at = end
			}
			if at != len(text) || size != heard {
				t.Fatalf("span %d to %d: %d bytes are heard, want %d", from, to, size, heard)
			}
		}
	}
	s := shardOf(t, 300, []int32{5, 6 | noTarget, 7 | noTarget, 8, 9})
	set := &Set{sources: []source{{name: "a", shard: s, ramp: ramp{{0, 1}}}}}
	set.valid = []*Valid{{"a", s.tokens, s.targets, s.bytes, s, set}}
	r, err := set.Rows(4, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	ids, targets := make([]int32, 4), make([]int32, 4)
	if _, err := r.Next(ids, targets); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids, []int32{5, 6, 7, 8}) || !slices.Equal(targets, []int32{-1, -1, 8, 9}) {
		t.Errorf("ids %v, targets %v", ids, targets)
	}
	for w := range set.valid[0].Windows(6) {
		if !slices.Equal(w.IDs, []int32{0, 5, 6, 7, 8, 0}) || !slices.Equal(w.Targets, []int32{5, -1, -1, 8, 9, -1}) {
			t.Errorf("validation: ids %v, targets %v", w.IDs, w.Targets)
		}
	}
}
