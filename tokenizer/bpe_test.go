package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestMergeLongLikeShort: the two ways of merging agree, on pieces at the limit and around it.
func TestMergeLongLikeShort(t *testing.T) {
	tok := small(t, TrainOptions{})
	rnd := rand.New(rand.NewPCG(3, 4))
	text := strings.Join(docs(t), " ")
	for n := 1; n <= shortPiece; n++ {
		for range 50 {
			start := rnd.IntN(len(text) - n)
			piece := text[start : start+n]
			short := tok.mergeShort(nil, piece)
			long, _ := tok.mergeLong(nil, piece)
			if !slices.Equal(short, long) {
				t.Fatalf("%q: %v in one way, %v in the other", piece, short, long)
			}
		}
	}
}

// TestMergeLongWork: the heap sees at most three pairs for each byte, so a megabyte of one letter takes O(n log n).
func TestMergeLongWork(t *testing.T) {
	tok := small(t, TrainOptions{})
	for _, piece := range []string{strings.Repeat("a", 1<<20), strings.Repeat("ab", 1<<15), strings.Repeat("the", 1<<15)} {
		ids, pushed := tok.mergeLong(nil, piece)
		if pushed > 3*len(piece) {
			t.Errorf("%.6q…: %d pairs queued for %d bytes", piece, pushed, len(piece))
		}
		if string(tok.Decode(nil, ids, false)) != piece {
			t.Errorf("%.6q… does not come back", piece)
		}
	}
	if ids := tok.Encode(nil, strings.Repeat("a", 1<<20)); len(ids) > 1<<19 {
		t.Errorf("a megabyte of one letter is %d tokens: it did not merge", len(ids))
	}
}

func TestMergesOfEqualRankGoLeftFirst(t *testing.T) {
	tok := small(t, TrainOptions{})
	aa, ok := tok.ID("aa")
	if !ok {
		t.Fatal("no token aa")
	}
	a, _ := tok.ID("a")
	if got := tok.merge(nil, "aaa"); !slices.Equal(got, []int32{aa, a}) {
		t.Errorf("aaa gives %v, want %v", got, []int32{aa, a})
	}
}

func TestMergeTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	table, want := newMergeTable(5000), map[pair]int32{}
	for i := range int32(5000) {
		p := pair{rnd.Int32N(300), rnd.Int32N(300)}
		table.set(p, i, i+7)
		want[p] = i // the later rank counts
	}
	for left := range int32(300) {
		for right := range int32(300) {
			rank, id := table.find(pair{left, right})
			i, ok := want[pair{left, right}]
			if ok && (rank != i || id != i+7) || !ok && rank != noRank {
				t.Fatalf("pair %d %d has rank %d, id %d; want %d, %t", left, right, rank, id, i, ok)
			}
		}
	}
}
