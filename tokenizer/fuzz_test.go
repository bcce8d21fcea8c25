package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse: a hostile file gives an error or a tokenizer that works, and takes memory in proportion to its size.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"deepseek", "other"} {
		data, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":1000000},"merges":["a b",["a","b"]]},"added_tokens":[{"id":2147483647}]}`))
	f.Fuzz(checkParse)
}

// FuzzSections does the same with parts of a file that is otherwise good: a pattern, the added tokens, a section, a merge.
func FuzzSections(f *testing.F) {
	good, err := os.ReadFile("testdata/deepseek.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(patternWords, `[{"id":0,"content":"<|end|>","special":true}]`, `null`, `["a","b"]`)
	f.Add(`(a+)+$|[^\p{Lu}\s]*?(?<!x)\b`, `[{"id":700,"content":"12","normalized":true}]`, `{"type":"NFC"}`, `"t h"`)
	f.Fuzz(func(t *testing.T, pattern, added, normalizer, merge string) {
		quoted, err := json.Marshal(pattern)
		if err != nil {
			t.Fatal(err)
		}
		raw := map[string]json.RawMessage{}
		if err := json.Unmarshal(good, &raw); err != nil {
			t.Fatal(err)
		}
		var model map[string]json.RawMessage
		if err := json.Unmarshal(raw["model"], &model); err != nil {
			t.Fatal(err)
		}
		model["merges"] = json.RawMessage("[" + merge + "]")
		if raw["model"], err = json.Marshal(model); err != nil {
			return // the merge is not JSON
		}
		raw["added_tokens"], raw["normalizer"] = json.RawMessage(added), json.RawMessage(normalizer)
		raw["pre_tokenizer"] = fmt.Appendf(nil, `{"type":"Sequence","pretokenizers":[
			{"type":"Split","behavior":"Isolated","pattern":{"Regex":%s}},{"type":"ByteLevel","add_prefix_space":false}]}`, quoted)
		data, err := json.Marshal(raw)
		if err != nil {
			return // one of the others is not
		}
		checkParse(t, data)
	})
}

// checkParse parses a file, and encodes a short text with what comes of it.
func checkParse(t *testing.T, data []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tok, err := Parse(data)
	runtime.ReadMemStats(&after)
	// A byte of the file may be a digit of a merge or a character of a token: at most some hundred bytes in tables and tries.
	// A compiled pattern has character classes of a fixed size.
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(8<<20+1000*len(data)); took > most {
		t.Errorf("parsing %d bytes takes %d bytes", len(data), took)
	}
	if err != nil {
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %q", err)
		}
		return
	}
	const text = "It's <|end|> 1234\n"
	ids := tok.EncodeOrdinary(nil, text)
	for _, id := range ids {
		if tok.Special(id) {
			t.Errorf("ordinary text gives the special token %d", id)
		}
	}
	for _, ids := range [][]int32{ids, tok.Encode(nil, text)} {
		if back := string(tok.Decode(nil, ids, false)); back != text {
			t.Errorf("%q decodes to %q", text, back)
		}
	}
	checkSaved(t, tok, text)
}

// checkSaved writes a tokenizer and reads it again: it must be the same.
func checkSaved(t *testing.T, tok *Tokenizer, text string) {
	data, err := tok.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatalf("what was written does not parse: %v", err)
	}
	if !slices.Equal(again.tokens, tok.tokens) || !slices.Equal(again.pairs, tok.pairs) {
		t.Error("the tokens or the merges change in writing")
	}
	if got, want := again.Encode(nil, text), tok.Encode(nil, text); !slices.Equal(got, want) {
		t.Errorf("after writing %q gives %v, not %v", text, got, want)
	}
}

// FuzzRoundTrip: any bytes come back, from ids in range; a Stream gives the same where it is text.
func FuzzRoundTrip(f *testing.F) {
	tok := small(f, TrainOptions{})
	for _, doc := range docs(f) {
		f.Add(doc)
	}
	f.Add("<|begin|>\xff\xe4\xb8<|end|\x00\xf0\x9f\x99")
	f.Fuzz(func(t *testing.T, text string) {
		ordinary := tok.EncodeOrdinary(nil, text)
		for _, ids := range [][]int32{ordinary, tok.Encode(nil, text)} {
			if back := string(tok.Decode(nil, ids, false)); back != text {
				t.Errorf("%q decodes to %q", text, back)
			}
		}
		stream, streamed := tok.Stream(), ""
		for _, id := range ordinary {
			if tok.Special(id) {
				t.Errorf("ordinary text gives the special token %d", id)
			}
			piece := stream.Next(id)
			if !utf8.ValidString(piece) {
				t.Errorf("the stream gives %q", piece)
			}
			streamed += piece
		}
		if streamed += stream.Flush(); streamed != string([]rune(text)) {
			t.Errorf("%q streams as %q", text, streamed)
		}
	})
}
