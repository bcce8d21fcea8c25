package data

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// learned takes a row apart: its documents by what is learned of them, with the first token before it. In these texts every token is.
func learned(t *testing.T, ids, targets, starts []int32) (docs []string) {
	t.Helper()
	for i, from := range starts {
		to := int32(len(ids))
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		doc := []int32{ids[from]}
		for at := from; at < to; at++ {
			if targets[at] < 0 { // padding
				break
			}
			if at+1 < to && targets[at+1] >= 0 && ids[at+1] != targets[at] {
				t.Fatalf("a target is not the token after")
			}
			doc = append(doc, targets[at])
		}
		docs = append(docs, shown(t, doc))
	}
	return docs
}

// TestWholeRows: a pass holds each document that fits once, whole, its end a target; what is left of a row teaches nothing and is text.
func TestWholeRows(t *testing.T) {
	const sequence = 12
	texts := []string{"abc", "defghij", "klmnopqrstuv", "wx", "yz", "0123456789", "too long for a row"}
	set := prepare(t, Spec{Pack: Whole, Train: []string{jsonl(t, texts...)}, Valid: []string{jsonl(t, texts...)}})
	r, err := set.Rows(sequence, 100, 1)
	if err != nil {
		t.Fatal(err)
	}
	packing := r.Packing()[0]
	if packing.Documents != 6 || packing.TooLong != 1 || packing.Rows != 3 || packing.Filled != 1 {
		t.Fatalf("%+v", packing)
	}
	if s := packing.String(); !strings.Contains(s, "1 documents are left out") {
		t.Error(s)
	}
	want := map[string]int{}
	for _, text := range texts[:6] {
		want[text+"|"] = 1
	}
	ids, targets := make([]int32, sequence), make([]int32, sequence)
	for pass := range 3 {
		got := map[string]int{}
		for range packing.Rows {
			row, err := r.Next(ids, targets)
			if err != nil {
				t.Fatal(err)
			}
			docs := learned(t, ids, targets, row.Starts)
			for _, d := range docs {
				got[d]++
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("pass %d holds %v, want %v", pass, got, want)
		}
	}
	got := map[string]int{}
	for w, err := range set.Valid()[0].Windows(sequence) {
		if err != nil {
			t.Fatal(err)
		}
		docs := learned(t, w.IDs, w.Targets, w.Starts)
		for _, d := range docs {
			got[d]++
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("validation holds %v, want %v", got, want)
	}
}

func TestPaddingIsText(t *testing.T) {
	set := prepare(t, Spec{Pack: Whole, Train: []string{jsonl(t, "abc", "de")}})
	r, err := set.Rows(13, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	ids, targets := make([]int32, 13), make([]int32, 13)
	row, err := r.Next(ids, targets)
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(t, ids); got != "abcdeabcdeabc" || !slices.Equal(row.Starts, []int32{0, 3}) {
		t.Errorf("row %q, starts %v", got, row.Starts)
	}
	if got := shown(t, targets[:5]); got != "bc|e|" || slices.Max(targets[5:]) != -1 {
		t.Errorf("targets %v", targets)
	}
	if n := testing.AllocsPerRun(20, func() { r.Next(ids, targets) }); n != 0 {
		t.Errorf("Next allocates %v times", n)
	}
	if _, err := set.Rows(1, 10, 1); err == nil || !strings.Contains(err.Error(), "longer than train.sequence") {
		t.Errorf("nothing fits: %v", err)
	}
}

// TestWholeSeek: row n is the same whether the rows before it were dealt or not.
func TestWholeSeek(t *testing.T) {
	set := mixedOf(t, Whole, Shuffled)
	straight, err := set.Rows(24, 50, 7)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for range 60 {
		want = append(want, rowText(t, straight))
	}
	sought, _ := set.Rows(24, 50, 7)
	for n := 59; n >= 0; n -= 7 {
		sought.SeekTo(int64(n))
		if got := rowText(t, sought); got != want[n] {
			t.Fatalf("row %d is %s, want %s", n, got, want[n])
		}
	}
	if set.Hash() == mixedOf(t, Borders, Shuffled).Hash() {
		t.Error("whole documents and cut ones are the same by their hash")
	}
}
