package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAddedTokens(t *testing.T) {
	object := readObject(t)
	object["normalizer"] = map[string]any{"type": "NFC"}
	object["added_tokens"] = []any{
		added(0, "<|begin|>", "special"), added(500, "<t>", ""), added(501, "<t>x", ""), added(502, "café", "normalized"),
		added(503, "cafe\u0301!", ""),
	}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := tok.ID("a")
	tests := []struct {
		text string
		want []int32
	}{
		{"<|begin|>", []int32{0}},
		{"<|begin|><|begin|>a<|begin|>", []int32{0, 0, a, 0}},
		{"<t>a<t>xa", []int32{500, a, 501, a}}, // the longest
		{"a<t><t", append([]int32{a, 500}, tok.EncodeOrdinary(nil, "<t")...)},
		{"cafe\u0301", []int32{502}},  // found once it is normalised
		{"cafe\u0301!", []int32{503}}, // found as it is, before
		{"caf\u00e9!", append([]int32{502}, tok.EncodeOrdinary(nil, "!")...)},
	}
	for _, test := range tests {
		if got := tok.Encode(nil, test.text); !slices.Equal(got, test.want) {
			t.Errorf("%q gives %v, want %v", test.text, got, test.want)
		}
		for _, id := range tok.EncodeOrdinary(nil, test.text) {
			if id == 0 || id >= 500 {
				t.Errorf("%q as ordinary text gives %d", test.text, id)
			}
		}
	}
	if !tok.Special(0) || tok.Special(500) || tok.Special(a) || tok.Special(490) || tok.Special(-1) || tok.Special(9999) {
		t.Error("of these only 0 is special")
	}
	if got := string(tok.Decode(nil, []int32{0, 500, a, 490, -1, 9999}, true)); got != "<t>a" {
		t.Errorf("decodes to %q, want <t>a", got)
	}
	if tok.VocabSize() != 504 || tok.Token(490) != "" || tok.Token(502) != "café" || tok.Token(504) != "" {
		t.Error("504 tokens with a gap before 500 are wanted")
	}
}

// TestIDAndToken: the two are inverse, for every token.
func TestIDAndToken(t *testing.T) {
	tok := small(t, TrainOptions{})
	for id := range int32(tok.VocabSize()) {
		if got, ok := tok.ID(tok.Token(id)); !ok || got != id {
			t.Errorf("token %q has id %d, %t; want %d", tok.Token(id), got, ok, id)
		}
	}
	for _, text := range []string{"", "no such token", " ", "中"} {
		if id, ok := tok.ID(text); ok {
			t.Errorf("%q has id %d", text, id)
		}
	}
}

func TestStream(t *testing.T) {
	tok := small(t, TrainOptions{})
	var ids []int32
	for _, b := range []byte("é中🙂\xe4\xb8a\xff\xf0\x9f") {
		ids = append(ids, tok.byteIDs[b])
	}
	ids = slices.Insert(ids, 3, 0) // a special token within 中
	want := []string{"", "é", "", "", "", "中", "", "", "", "🙂", "", "", "\ufffd\ufffda", "\ufffd", "", ""}
	stream := tok.Stream()
	for i, id := range ids {
		if got := stream.Next(id); got != want[i] {
			t.Errorf("token %d gives %q, want %q", i, got, want[i])
		}
	}
	if got := stream.Flush(); got != "\ufffd\ufffd" {
		t.Errorf("the end gives %q", got)
	}
	if got := stream.Flush(); got != "" {
		t.Errorf("the end again gives %q", got)
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	tok := small(t, TrainOptions{})
	text := strings.Join(docs(t), "<|end|>")
	want := tok.Encode(nil, text)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := tok.Encode(nil, text); !slices.Equal(got, want) {
				t.Error("the tokens differ")
			}
		})
	}
	wg.Wait()
}
