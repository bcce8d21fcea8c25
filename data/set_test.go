package data

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/tokenizer"
)

// bytesTokenizer has a token for each byte, and the special ones.
func bytesTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{""}), tokenizer.TrainOptions{
		VocabSize:     300,
		SpecialTokens: []string{tokenizer.BOS, tokenizer.EOS, tokenizer.Pad},
		AddedTokens: []string{tokenizer.FIMBegin, tokenizer.FIMHole, tokenizer.FIMEnd,
			tokenizer.User, tokenizer.Assistant, tokenizer.Think, tokenizer.EndThink},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// prepare is Prepare in a directory of the test's own, unless spec has one.
func prepare(t testing.TB, spec Spec) *Set {
	t.Helper()
	if spec.Dir == "" {
		spec.Dir = t.TempDir()
	}
	set, err := Prepare(context.Background(), &spec, bytesTokenizer(t), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// jsonl writes documents as a .jsonl file.
func jsonl(t *testing.T, docs ...string) string {
	t.Helper()
	text := ""
	for _, d := range docs {
		text += fmt.Sprintf("{\"text\":%q}\n", d)
	}
	return write(t, "a.jsonl", text)
}

// shown is tokens as text, with | for the end of a document.
func shown(t testing.TB, ids []int32) string {
	tok := bytesTokenizer(t)
	return strings.ReplaceAll(string(tok.Decode(nil, ids, false)), tokenizer.EOS, "|")
}

// all is every token of a shard.
func all(t testing.TB, s *shard) []int32 {
	ids := make([]int32, s.tokens)
	if err := s.read(ids, 0, &scratch{}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestPrepareKeepsOrder(t *testing.T) {
	long := strings.Repeat("x", 3*batchBytes/2)
	files := []string{jsonl(t, "ab", long, "cd"), write(t, "b.txt", "z")}
	set := prepare(t, Spec{Train: files})
	s := set.sources[0].shard
	if got, want := shown(t, all(t, s)), "ab|"+long+"|cd|z|"; got != want {
		t.Errorf("%d tokens, want %d in the files' order", len(got), len(want))
	}
	if want := int64(len("abcdz") + len(long)); s.bytes != want || s.documents != 4 {
		t.Errorf("%d bytes, %d documents, want %d, 4", s.bytes, s.documents, want)
	}
}

// mixed is a Set of three sources with schedules, in different orders.
func mixed(t testing.TB, pack string) *Set { return mixedOf(t, pack, File) }

// mixedOf is mixed where the second source has an order.
func mixedOf(t testing.TB, pack, order string) *Set {
	t.Helper()
	dir := t.TempDir()
	source := func(name string, documents int, order string, weight any) Source {
		path := filepath.Join(dir, name+".jsonl")
		var text bytes.Buffer
		for i := range documents {
			fmt.Fprintf(&text, "{\"text\":\"%s%d.\"}\n", strings.Repeat(name, i%7), i)
		}
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return Source{Name: name, Files: []string{path}, Order: order, Weight: weight}
	}
	points := []any{[]any{0.0, int64(3)}, []any{0.5, 1.0}}
	return prepare(t, Spec{Pack: pack, Source: []Source{
		source("a", 100, Shuffled, nil), source("b", 40, order, points), source("c", 12, "", 0.5),
	}})
}

// rowText is a row as text.
func rowText(t testing.TB, r *Rows) string {
	t.Helper()
	ids, targets := make([]int32, r.sequence), make([]int32, r.sequence)
	row, err := r.Next(ids, targets)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(row.Source, row.Starts, ids, targets)
}

// TestPasses: what is said before a run is what it then reads, and saying it moves nothing.
func TestPasses(t *testing.T) {
	const sequence, total = 24, 400
	for _, pack := range []string{Mixed, Whole} {
		rows, err := mixedOf(t, pack, Shuffled).Rows(sequence, total, 7)
		if err != nil {
			t.Fatal(err)
		}
		rows.SeekTo(3)
		passes := rows.Passes()
		ids, targets := make([]int32, sequence), make([]int32, sequence)
		read := make([]float64, len(passes))
		for rows.SeekTo(0); rows.At() < total; {
			row, err := rows.Next(ids, targets)
			if err != nil {
				t.Fatal(err)
			}
			read[row.Source]++
		}
		for i := range read {
			if read[i] /= float64(rows.windows(i)); read[i] != passes[i] {
				t.Errorf("%s: source %d is read %v times, said %v", pack, i, read[i], passes[i])
			}
		}
	}
}

// TestSeek: row n is the same whether the rows before it were dealt or not, through many passes and changes of weight.
func TestSeek(t *testing.T) {
	const sequence, total = 16, 400
	for _, pack := range []string{Mixed, Borders} {
		set := mixed(t, pack)
		straight, err := set.Rows(sequence, total, 7)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for range total + 10 {
			want = append(want, rowText(t, straight))
		}
		if passes := straight.taken[2] / (set.sources[2].shard.tokens / sequence); passes < 3 {
			t.Fatalf("%d passes over the smallest source: the test wants more", passes)
		}
		sought, _ := set.Rows(sequence, total, 7)
		for n := total + 9; n >= 0; n -= 3 {
			sought.SeekTo(int64(n))
			if got := rowText(t, sought); got != want[n] {
				t.Fatalf("%s: row %d is %s, want %s", pack, n, got, want[n])
			}
			if sought.At() != int64(n)+1 {
				t.Fatalf("at row %d, want %d", sought.At(), n+1)
			}
		}
		other, _ := set.Rows(sequence, total, 8)
		if rowText(t, other) == want[0] && rowText(t, other) == want[1] {
			t.Error("another seed gives the same rows")
		}
	}
}

// TestWeights: by any row a source has given its share to within one row, a share that follows the schedule.
func TestWeights(t *testing.T) {
	const total = 10_000
	set := mixed(t, Mixed)
	r, err := set.Rows(8, total, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, 3)
	for n := range total {
		f := float64(n) / total
		w := []float64{1, 3 - 4*min(f, 0.5), 0.5}
		sum := w[0] + w[1] + w[2]
		r.choose()
		for i := range want {
			want[i] += w[i] / sum
			if d := float64(r.taken[i]) - want[i]; d > 1 || d < -1 {
				t.Fatalf("row %d: source %d has given %d rows, its share is %.2f", n, i, r.taken[i], want[i])
			}
		}
	}
}

// TestEachWindowOncePerPass: a pass holds every window once, in another order than the last pass, or as they lie.
func TestEachWindowOncePerPass(t *testing.T) {
	set := mixed(t, Mixed)
	const sequence = 4
	r, err := set.Rows(sequence, 100, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, src := range set.sources {
		n := (src.shard.tokens - 1) / sequence
		var passes [2][]int64
		for k := range 2 * n {
			passes[k/n] = append(passes[k/n], r.window(i, k))
		}
		if same := slices.Equal(passes[0], passes[1]); same != src.inOrder {
			t.Errorf("%s: two passes are the same: %t", src.name, same)
		}
		if src.inOrder != slices.IsSorted(passes[0]) {
			t.Errorf("%s: in order: %t", src.name, !src.inOrder)
		}
		for _, p := range passes {
			slices.Sort(p)
			for at, w := range p {
				if w != int64(at) {
					t.Fatalf("%s: a pass does not hold window %d once", src.name, at)
				}
			}
		}
	}
}

func TestPermute(t *testing.T) {
	for n := uint64(1); n < 300; n++ {
		seen := make([]bool, n)
		for i := range n {
			at := permute(i, n, 5)
			if at >= n || seen[at] {
				t.Fatalf("permute(%d, %d) is %d, out of range or taken", i, n, at)
			}
			seen[at] = true
		}
	}
	// Over keys, an element goes everywhere alike: counts of 20,000 throws into 50 places, 400 each, stay within 5 σ = 100.
	counts := make([]int, 50)
	for key := range uint64(20_000) {
		counts[permute(17, 50, mix(key))]++
	}
	if least, most := slices.Min(counts), slices.Max(counts); least < 300 || most > 500 {
		t.Errorf("an element's places are uneven: from %d to %d times, want about 400", least, most)
	}
}

// TestBorders: a row's sequences are documents, whole or cut by the row.
func TestBorders(t *testing.T) {
	set := mixed(t, Borders)
	const sequence = 24
	r, err := set.Rows(sequence, 300, 3)
	if err != nil {
		t.Fatal(err)
	}
	ids, targets := make([]int32, sequence), make([]int32, sequence)
	for range 300 {
		row, err := r.Next(ids, targets)
		if err != nil {
			t.Fatal(err)
		}
		want := []int32{0}
		for i, id := range ids[:sequence-1] {
			if targets[i] != ids[i+1] {
				t.Fatalf("target %d is %d, want %d", i, targets[i], ids[i+1])
			}
			if id == set.eos {
				want = append(want, int32(i)+1)
			}
		}
		if !slices.Equal(row.Starts, want) {
			t.Fatalf("starts of %q are %v, want %v", shown(t, ids), row.Starts, want)
		}
	}
}

// TestNextAllocatesNothing: once its buffers have grown.
func TestNextAllocatesNothing(t *testing.T) {
	for _, pack := range []string{Mixed, Borders} {
		r, err := mixed(t, pack).Rows(16, 100, 1)
		if err != nil {
			t.Fatal(err)
		}
		ids, targets := make([]int32, 16), make([]int32, 16)
		if n := testing.AllocsPerRun(50, func() { r.Next(ids, targets) }); n != 0 {
			t.Errorf("%s: Next allocates %v times", pack, n)
		}
	}
}

// TestValidHoldsEveryTokenOnce for windows of any size, each in the company of what is before it.
func TestValidHoldsEveryTokenOnce(t *testing.T) {
	file := jsonl(t, "one", "two", "three four")
	for _, pack := range []string{Mixed, Borders} {
		set := prepare(t, Spec{Pack: pack, Train: []string{file}, Valid: []string{file}})
		v := set.Valid()[0]
		if v.Name != "text" || v.Bytes != 16 || v.Tokens != 19 {
			t.Errorf("%s: %d bytes, %d tokens, want 16, 19", v.Name, v.Bytes, v.Tokens)
		}
		for sequence := 1; sequence < 30; sequence++ {
			var ids, targets []int32
			for w, err := range v.Windows(sequence) {
				if err != nil {
					t.Fatal(err)
				}
				var want []int32
				for i, id := range w.IDs {
					if w.Targets[i] >= 0 {
						ids, targets = append(ids, id), append(targets, w.Targets[i])
					}
					if i == 0 || pack == Borders && w.IDs[i-1] == set.eos && w.Targets[i] >= 0 {
						want = append(want, int32(i))
					}
				}
				if !slices.Equal(w.Starts, want) {
					t.Fatalf("%s, %d: starts %v, want %v in %q", pack, sequence, w.Starts, want, shown(t, w.IDs))
				}
			}
			if got := shown(t, ids) + "," + shown(t, targets); got != "|one|two|three four,one|two|three four|" {
				t.Fatalf("%s, windows of %d: %q", pack, sequence, got)
			}
		}
	}
}

func TestSourceShorterThanASequence(t *testing.T) {
	set := prepare(t, Spec{Train: []string{jsonl(t, "1234567")}})
	if _, err := set.Rows(7, 10, 1); err != nil {
		t.Errorf("8 tokens are enough for a sequence of 7 and its last target: %v", err)
	}
	if _, err := set.Rows(8, 10, 1); err == nil || !strings.Contains(err.Error(), "source text has 8 tokens") {
		t.Errorf("error %v", err)
	}
}
