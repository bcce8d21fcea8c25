package tokenizer

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// small trains a tokenizer on a text with words, digits, code and other alphabets.
func small(t testing.TB, opt TrainOptions) *Tokenizer {
	t.Helper()
	if opt.VocabSize == 0 {
		opt.VocabSize = 600
	}
	if opt.SpecialTokens == nil {
		opt.SpecialTokens = []string{"<|begin|>", "<|end|>", "<|pad|>"}
	}
	tok, err := Train(slices.Values(smallDocs), opt)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

var smallDocs = []string{
	"The quick brown fox jumps over the lazy dog. The dog didn't mind; the fox'll be back, they said.\n\nThen the rain came.",
	strings.Repeat("the there then other another mother brother weather whether ", 3),
	"func main() {\n\tfor i := 0; i < 1000; i++ {\n\t\tfmt.Println(i, 12345, 0x7f)\n\t}\n}\n",
	"Größe, naïve café, Ελληνικά, русский язык, 中文字符和日本語のテキスト, カタカナ, हिन्दी, 🙂🙃🙂🙃",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbb abababababababab ----------======== \t\t\t\t    ",
}

func TestTrainSaveLoad(t *testing.T) {
	tok := small(t, TrainOptions{})
	if n := tok.VocabSize(); n != 600 {
		t.Errorf("%d tokens, want 600", n)
	}
	path := filepath.Join(t.TempDir(), "new", "tokenizer.json")
	if err := tok.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range smallDocs {
		ids := tok.Encode(nil, "<|begin|>"+doc)
		if got := again.Encode(nil, "<|begin|>"+doc); !slices.Equal(got, ids) {
			t.Errorf("after saving %q gives %v, not %v", doc, got, ids)
		}
		if ids[0] != 0 || string(again.Decode(nil, ids, true)) != doc {
			t.Errorf("%q does not come back from %v", doc, ids)
		}
	}
}
