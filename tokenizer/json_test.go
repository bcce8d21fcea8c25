package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readObject returns testdata/deepseek.json for a test to change.
func readObject(t testing.TB) map[string]any {
	t.Helper()
	data, err := os.ReadFile("testdata/deepseek.json")
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func added(id int, content string, flag string) map[string]any {
	return map[string]any{"id": id, "content": content, flag: true}
}

// TestParseErrors: each change to a good file is an error that names what is wrong, in one line.
func TestParseErrors(t *testing.T) {
	model := func(key string, value any) func(map[string]any) {
		return func(o map[string]any) { o["model"].(map[string]any)[key] = value }
	}
	section := func(key string, value any) func(map[string]any) {
		return func(o map[string]any) { o[key] = value }
	}
	add := func(entry map[string]any) func(map[string]any) {
		return func(o map[string]any) { o["added_tokens"] = append(o["added_tokens"].([]any), entry) }
	}
	vocab := func(text string, id int) func(map[string]any) {
		return func(o map[string]any) { o["model"].(map[string]any)["vocab"].(map[string]any)[text] = id }
	}
	type object = map[string]any
	byteLevel := object{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}
	steps := func(all ...any) func(map[string]any) {
		return section("pre_tokenizer", object{"type": "Sequence", "pretokenizers": append(all, byteLevel)})
	}
	tests := []struct {
		change func(map[string]any)
		want   string
	}{
		{model("type", "Unigram"), `"Unigram"`},
		{model("byte_fallback", true), "byte_fallback"},
		{model("dropout", 0.1), "dropout"},
		{model("continuing_subword_prefix", "##"), `"##"`},
		{model("end_of_word_suffix", "</w>"), `"</w>"`},
		{model("merges", []string{"t h e"}), `"t h e"`},
		{model("merges", []string{"the"}), `"the"`},
		{model("merges", [][]string{{"t"}}), "1 parts"},
		{model("merges", [][]string{{"t", "q!"}}), "merge 0"},
		{model("merges", [][]string{{"<|be", "gin|>"}}), "merge 0"},
		{model("merges", [][]int{{1, 2}}), "tokenizer.json"},
		{func(o object) {
			vocab("a b", 500)(o)
			vocab("a bc", 501)(o)
			model("merges", [][]string{{"a b", "c"}})(o)
		}, `"a b"`},
		{model("vocab", object{"a": 0}), "0x00"},
		{vocab("new", 0), "same id 0"},
		{vocab("new", -1), "id -1"},
		{vocab("new", 2_000_000_000), "id 2000000000"},
		{vocab("new", 1<<40), "tokenizer.json"},
		{add(added(-1, "x", "special")), "id -1"},
		{add(added(1<<30, "x", "special")), "id 1073741824"},
		{add(added(500, "", "special")), "empty"},
		{add(added(500, "x", "lstrip")), "lstrip"},
		{add(added(500, "the", "special")), "two ids"},
		{add(added(1, "x", "special")), "same id 1"},
		{add(added(188+3, "Ā", "normalized")), `"Ā"`},
		{add(added(3, "!", "special")), "byte"},
		{section("normalizer", object{"type": "NFKC"}), `"NFKC"`},
		{section("normalizer", object{"type": "Sequence", "normalizers": []any{object{"type": "Lowercase"}}}), `"Lowercase"`},
		{section("decoder", object{"type": "WordPiece"}), `"WordPiece"`},
		{section("pre_tokenizer", nil), "pre_tokenizer"},
		{section("pre_tokenizer", object{"type": "Whitespace"}), "ByteLevel"},
		{section("pre_tokenizer", object{"type": "ByteLevel", "add_prefix_space": true}), "add_prefix_space"},
		{steps(object{"type": "Metaspace"}), `"Metaspace"`},
		{steps(byteLevel), `"ByteLevel"`},
		{steps(object{"type": "Split", "behavior": "Isolated"}), "pattern"},
		{steps(object{"type": "Split", "behavior": "Removed", "pattern": object{"Regex": "a"}}), `"Removed"`},
		{steps(object{"type": "Split", "behavior": "Isolated", "pattern": object{"Regex": "("}}), `"("`},
		{steps(object{"type": "Split", "behavior": "Isolated", "pattern": object{"Regex": "\n["}}), `"\n["`},
		{steps(slices.Repeat([]any{object{"type": "Digits"}}, 64)...), "65 steps"},
	}
	for _, test := range tests {
		object := readObject(t)
		test.change(object)
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(data); err == nil {
			t.Errorf("no error, want one about %s", test.want)
		} else if s := err.Error(); !strings.Contains(s, test.want) || strings.Contains(s, "\n") {
			t.Errorf("error %q, want one line about %s", s, test.want)
		}
	}
}

// TestParseSpecialByMerge: text from outside must not become a special token, so a file where it could is refused.
func TestParseSpecialByMerge(t *testing.T) {
	object := readObject(t)
	id := object["model"].(map[string]any)["vocab"].(map[string]any)["the"].(float64)
	object["added_tokens"] = append(object["added_tokens"].([]any), added(int(id), "the", "special"))
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), "special token") {
		t.Errorf("error %v, want one about a special token", err)
	}
}

func TestIgnoreMerges(t *testing.T) {
	object := readObject(t)
	model := object["model"].(map[string]any)
	model["vocab"].(map[string]any)["zebra"] = 500
	for _, ignore := range []bool{false, true} {
		model["ignore_merges"] = ignore
		data, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(nil, "zebra"); slices.Equal(got, []int32{500}) != ignore {
			t.Errorf("ignore_merges %t: zebra gives %v", ignore, got)
		}
		path := filepath.Join(t.TempDir(), "t.json")
		if err := tok.Save(path); err != nil {
			t.Fatal(err)
		}
		if tok, err = Load(path); err != nil || slices.Equal(tok.Encode(nil, "zebra"), []int32{500}) != ignore {
			t.Errorf("ignore_merges %t is lost in saving: %v", ignore, err)
		}
	}
}

// TestSaveKeeps: what Encode ignores is written back.
func TestSaveKeeps(t *testing.T) {
	object := readObject(t)
	object["post_processor"] = map[string]any{"type": "TemplateProcessing", "single": []any{}}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "t.json")
	if err := tok.Save(path); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(saved), `"TemplateProcessing"`) {
		t.Error("the post-processor is lost")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("Save leaves %v behind", left)
	}
}

func TestSaveFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "t.json")
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := small(t, TrainOptions{}).Save(path); err == nil {
		t.Error("a directory was overwritten")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("Save leaves %v behind", left)
	}
}
