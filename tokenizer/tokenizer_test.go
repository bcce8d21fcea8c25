package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// shared returns the path of a file in the shared directory beside the repository, and skips the test if it is absent.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(dir, "shared", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skipf("shared/%s is not beside the repository", name)
		}
		dir = up
	}
}

func TestPublished(t *testing.T) {
	for _, name := range []string{"deepseek-v3", "qwen3"} {
		t.Run(name, func(t *testing.T) {
			tok, err := Load(shared(t, "tokenizers/"+name+"/tokenizer.json"))
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, tok, shared(t, "tokenizers/"+name+"/golden.jsonl"))
		})
	}
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"deepseek", "qwen2", "llama3", "gpt2", "other"} {
		t.Run(name, func(t *testing.T) {
			tok, err := Load("testdata/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, tok, "testdata/"+name+".golden.jsonl")
		})
	}
}

// checkGolden compares with a file of texts and of the ids that Hugging Face's tokenizers give.
func checkGolden(t *testing.T, tok *Tokenizer, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for in := bufio.NewScanner(f); in.Scan(); lines++ {
		var want struct {
			Text string
			IDs  []int32
		}
		if err := json.Unmarshal(in.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		got := tok.Encode(nil, want.Text)
		if !slices.Equal(got, want.IDs) {
			t.Errorf("%q:\n got %v\nwant %v", want.Text, got, want.IDs)
		}
		if back := string(tok.Decode(nil, got, false)); back != tok.normalise(want.Text) {
			t.Errorf("%q decodes to %q", want.Text, back)
		}
	}
	if lines < 50 {
		t.Errorf("%s has only %d lines", path, lines)
	}
}
