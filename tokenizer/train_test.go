package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// docs returns texts with words, digits, code and other alphabets.
func docs(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/docs.json")
	if err != nil {
		t.Fatal(err)
	}
	var docs []string
	if err := json.Unmarshal(data, &docs); err != nil {
		t.Fatal(err)
	}
	return docs
}

// small trains a tokenizer on docs.
func small(t testing.TB, opt TrainOptions) *Tokenizer {
	t.Helper()
	if opt.VocabSize == 0 {
		opt.VocabSize = 480
	}
	if opt.SpecialTokens == nil {
		opt.SpecialTokens = []string{"<|begin|>", "<|end|>", "<|pad|>"}
	}
	tok, err := Train(slices.Values(docs(t)), opt)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestTrainLikeHuggingFace compares with the vocabulary and the merges that Hugging Face's BpeTrainer makes of docs.json.
func TestTrainLikeHuggingFace(t *testing.T) {
	want, err := Load("testdata/deepseek.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 2, 7} {
		got := small(t, TrainOptions{Workers: workers})
		if got.VocabSize() != 480 {
			t.Errorf("%d tokens, want 480", got.VocabSize())
		}
		for id := range got.VocabSize() {
			if got, want := got.Token(int32(id)), want.Token(int32(id)); got != want {
				t.Fatalf("%d workers: token %d is %q, want %q", workers, id, got, want)
			}
		}
		if !slices.Equal(got.pairs, want.pairs) {
			t.Errorf("%d workers: the merges differ", workers)
		}
	}
}

// TestWorkersAddUp: several workers, each with texts of its own, count what one does.
func TestWorkersAddUp(t *testing.T) {
	tok := small(t, TrainOptions{})
	var texts []string
	for i := range 20 {
		texts = append(texts, strings.Repeat(fmt.Sprintf(" all word%d", i), batchBytes/60)) // some five make a batch
	}
	want := map[string]int64{}
	for _, text := range texts {
		for piece, n := range countPieces(slices.Values([]string{text}), tok.splits, 1) {
			want[piece] += n
		}
	}
	if got := countPieces(slices.Values(texts), tok.splits, 4); !maps.Equal(got, want) {
		t.Errorf("four workers count %d times %q, one %d", got[" all"], " all", want[" all"])
	}
}

func TestTrainSaveLoad(t *testing.T) {
	tok := small(t, TrainOptions{})
	path := filepath.Join(t.TempDir(), "new", "tokenizer.json")
	if err := tok.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range docs(t) {
		ids := tok.Encode(nil, "<|begin|>"+doc)
		if got := again.Encode(nil, "<|begin|>"+doc); !slices.Equal(got, ids) {
			t.Errorf("after saving %q gives %v, not %v", doc, got, ids)
		}
		if ids[0] != 0 || string(again.Decode(nil, ids, true)) != doc {
			t.Errorf("%q does not come back from %v", doc, ids)
		}
	}
}

func TestTrainErrors(t *testing.T) {
	for _, opt := range []TrainOptions{
		{VocabSize: 255},
		{VocabSize: 256, SpecialTokens: []string{"<a>"}},
		{VocabSize: maxTrained + 1},
		{VocabSize: 300, SpecialTokens: []string{""}},
		{VocabSize: 300, SpecialTokens: []string{"<a>", "<a>"}},
		{VocabSize: 300, SpecialTokens: []string{"!"}},
		{VocabSize: 300, SpecialTokens: []string{"<\xff>"}},
	} {
		if _, err := Train(slices.Values(docs(t)), opt); err == nil {
			t.Errorf("%+v is accepted", opt)
		}
	}
}

func TestSingleDigits(t *testing.T) {
	text := "1234567 12"
	for single, want := range map[bool]int{false: 3, true: 1} {
		tok, err := Train(slices.Values(slices.Repeat([]string{text}, 10)), TrainOptions{VocabSize: 300, SingleDigits: single})
		if err != nil {
			t.Fatal(err)
		}
		longest := 0
		for _, id := range tok.Encode(nil, text) {
			longest = max(longest, len(tok.Decode(nil, []int32{id}, false)))
		}
		if longest != want {
			t.Errorf("single digits %t: the longest token has %d digits, want %d", single, longest, want)
		}
	}
}

// TestTrainOnLittle: the vocabulary is smaller when no pairs are left, and no merge spells a special or added token.
func TestTrainOnLittle(t *testing.T) {
	for _, test := range []struct {
		docs []string
		want int
	}{{nil, 259}, {[]string{""}, 259}, {[]string{"abab ab"}, 259 + 3}, {[]string{"hello"}, 259 + 3}, {[]string{"<User>"}, 259 + 4}} {
		tok, err := Train(slices.Values(test.docs), TrainOptions{VocabSize: 1000, SpecialTokens: []string{"<a>", "hello"}, AddedTokens: []string{"User"}})
		if err != nil {
			t.Fatal(err)
		}
		if tok.VocabSize() != test.want {
			t.Errorf("%q gives %d tokens, want %d", test.docs, tok.VocabSize(), test.want)
		}
		if ids := tok.EncodeOrdinary(nil, "hello"); slices.Contains(ids, 1) {
			t.Errorf("ordinary text gives a special token: %v", ids)
		}
		if ids := tok.EncodeOrdinary(nil, "<User>"); slices.Contains(ids, 2) {
			t.Errorf("ordinary text gives an added token: %v", ids)
		}
		if got := string(tok.Decode(nil, tok.Encode(nil, "<a>User"), true)); got != "User" {
			t.Errorf("decoding without special tokens gives %q, want the added one", got)
		}
	}
}
