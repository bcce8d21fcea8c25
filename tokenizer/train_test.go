package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
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
