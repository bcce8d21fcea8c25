package data

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/chat"
	"sprat/tasks"
	"sprat/tokenizer"
)

// templates are what tells the formats of V3.1, R1 and R1-0528 apart.
var templates = []string{"", tokenizer.Assistant + tokenizer.Think + `\n`, "R1-0528"}

// samples are a shard's documents as tokens, noTarget included.
func samples(t *testing.T, s *shard) (list [][]int32) {
	t.Helper()
	ids, last := all(t, s), int64(0)
	for i := range s.documents {
		end, err := s.end(i, &scratch{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, ids[last:end])
		last = end
	}
	return list
}

// split is a sample as text: what is read, and what is learned, each run of it after the other with / between.
func split(t *testing.T, ids []int32) (all, learned string) {
	t.Helper()
	tok := bytesTokenizer(t)
	var a, l []byte
	for i, id := range ids {
		a = tok.Decode(a, []int32{id &^ noTarget}, false)
		switch {
		case id >= 0:
			l = tok.Decode(l, []int32{id}, false)
		case i > 0 && ids[i-1] >= 0:
			l = append(l, '/')
		}
	}
	return string(a), string(l)
}

// TestProblemsAsChats: what a model is asked by package chat is the beginning of what it learned, and not learned; the rest is the solution,
// the end of the thought, the answer and the end, without the slips.
func TestProblemsAsChats(t *testing.T) {
	tok := bytesTokenizer(t)
	for _, template := range templates {
		f := chat.New(tok, template)
		source := Source{Name: "sums", Tasks: []string{"countdown", "multiply", "talk"}, Documents: 300, Plain: 0.3, Difficulty: []float64{1, 2}}
		set := prepare(t, Spec{Template: template, Pack: Whole, Loss: Assistant, Source: []Source{source}})
		got := samples(t, set.sources[0].shard)
		before, after := f.Around()
		i, slips, thoughts, plain := 0, 0, 0, 0
		for d := range tasks.Documents(source.seed(), source.mixture()) {
			think := slices.ContainsFunc(d, func(s tasks.Segment) bool { return s.Kind == tasks.Think })
			prompt := f.Encode([]chat.Message{{Role: chat.User, Text: d[1].Text}}, think)
			want := slices.Clone(prompt)
			for i := range want {
				want[i] |= noTarget
			}
			if thoughts++; !think {
				plain++
			}
			for _, s := range d[3:] {
				switch s.Kind {
				case tasks.Think:
					want = append(want, before...)
				case tasks.EndThink:
					want = append(want, after...)
				case tasks.Slip:
					slips++
					for _, id := range tok.EncodeOrdinary(nil, s.Text) { // one token a byte: no segment shares any
						want = append(want, id|noTarget)
					}
				default:
					want = tok.EncodeOrdinary(want, s.Text)
				}
			}
			if want = append(want, set.eos); !slices.Equal(got[i], want) {
				a, b := split(t, got[i])
				c, d := split(t, want)
				t.Fatalf("template %q, document %d:\n%q learns %q, want\n%q %q", template, i, a, b, c, d)
			}
			i++
		}
		if i != 300 || slips == 0 || plain == 0 || plain == thoughts {
			t.Fatalf("%d documents, %d slips, %d without thought: the test wants some of each", i, slips, plain)
		}
	}
}

func TestChats(t *testing.T) {
	lines := `{"messages":[{"role":"system","content":"S"},{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"gone"},{"role":"user","content":"c"},{"role":"assistant","content":"e","reasoning_content":"d"}]}
{"messages":[{"role":"user","content":"<think>"},{"role":"assistant","content":"f"}],"weight":1}
`
	const bos, user, asst, think, end, eos = tokenizer.BOS, tokenizer.User, tokenizer.Assistant, tokenizer.Think, tokenizer.EndThink, tokenizer.EOS
	start := bos + "S" + user + "a" + asst
	for i, want := range [][4]string{
		{start + end + "b" + eos + user + "c" + asst + think + "d" + end + "e" + eos, "b" + eos + "/d" + end + "e" + eos,
			bos + user + "<think>" + asst + end + "f" + eos, "f" + eos},
		{start + "b" + eos + user + "c" + asst + think + "\nd\n" + end + "\n\ne" + eos, "b" + eos + "/d\n" + end + "\n\ne" + eos,
			bos + user + "<think>" + asst + think + "\n\n" + end + "\n\nf" + eos, "f" + eos},
		{start + "b" + eos + user + "c" + asst + think + "\nd\n" + end + "\n\ne" + eos, "b" + eos + "/" + think + "\nd\n" + end + "\n\ne" + eos,
			bos + user + "<think>" + asst + think + "\n\n" + end + "\n\nf" + eos, "f" + eos},
	} {
		spec := Spec{Template: templates[i], Pack: Whole, Loss: Assistant, Source: []Source{{Name: "a", Chat: []string{write(t, "a.jsonl", lines)}}}}
		s := prepare(t, spec).sources[0].shard
		for j, ids := range samples(t, s) {
			if a, l := split(t, ids); a != want[2*j] || l != want[2*j+1] {
				t.Errorf("template %q, chat %d:\n%q learns %q, want\n%q %q", templates[i], j, a, l, want[2*j], want[2*j+1])
			}
		}
		if s.documents != 2 {
			t.Errorf("%d chats, want 2", s.documents)
		}
		if i == 0 && s.bytes != 4 {
			t.Errorf("%d bytes are learned, want 4", s.bytes)
		}
		if tok := bytesTokenizer(t); slices.Contains(samples(t, s)[1][1:8], mustID(t, tok, tokenizer.Think)|noTarget) {
			t.Error("text that spells a token has become one")
		}
	}
}

func mustID(t *testing.T, tok *tokenizer.Tokenizer, text string) int32 {
	id, ok := tok.ID(text)
	if !ok {
		t.Fatal(text)
	}
	return id
}

func TestChatMistakes(t *testing.T) {
	for line, want := range map[string]string{
		`{"messages":[]}`: "no list of messages",
		`{"text":"a"}`:    "no list of messages",
		`{"messages":[{"role":"user","content":"a"}]}`:                                            "the last message",
		`{"messages":[{"role":"tool","content":"a"},{"role":"assistant","content":"b"}]}`:         "message 1: role",
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null}]}`:        "message 2 has no string",
		`{"messages":[{"role":"user","content":[{"type":"text"}]}]}`:                              "json",
		`{"messages":"` + strings.Repeat("a", 100) + `"}`:                                         "json",
		`{"messages":[{"role":"` + strings.Repeat("a", 1000) + `","content":"","x":[[[[{}]]]]}]}`: "role is",
		`{"messages":[`: "unexpected end",
	} {
		path := write(t, "a.jsonl", "\n"+line+"\n")
		spec := &Spec{Dir: t.TempDir(), Loss: Assistant, Source: []Source{{Name: "a", Chat: []string{path}}}}
		_, err := Prepare(context.Background(), spec, bytesTokenizer(t), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 2") || len(err.Error()) > len(path)+300 {
			t.Errorf("%.60s: error %v, want %q", line, err, want)
		}
		for _, err = range spec.Text() {
		}
		if err == nil {
			t.Errorf("%.60s: its text is read", line)
		}
	}
}

// FuzzConversation: a line that is taken has an answer, and becomes a sample that begins as the model is asked.
func FuzzConversation(f *testing.F) {
	for _, s := range []string{
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"c"}]}`,
		`{"messages":[{"role":"assistant","content":""}]}`, `{"messages":[{"role":"system","content":"<think>\ud800"},{"role":"assistant","content":"<｜User｜>"}]}`,
		`{"messages":{}}`, `[]`, `{"messages":[null]}`, `{"messages":[{"role":1}]}`,
	} {
		f.Add([]byte(s))
	}
	tok := bytesTokenizer(f)
	format := chat.New(tok, "")
	c := &coder{tok: tok, eos: 1, format: format, filter: newFilter(&Spec{})}
	f.Fuzz(func(t *testing.T, line []byte) {
		conv, err := parseConversation(line)
		if err != nil {
			return
		}
		think := conv.thought != ""
		ids, size := c.append(nil, chatDocument(format, conv.messages, think, part{text: conv.thought}, conv.answer))
		for i := range ids {
			ids[i] &^= noTarget
		}
		if prompt := format.Encode(conv.messages, think); len(prompt) >= len(ids) || !slices.Equal(ids[:len(prompt)], prompt) {
			t.Fatalf("%v does not begin with %v", ids, prompt)
		}
		if size < 0 || size > 4*len(line) {
			t.Fatalf("%d bytes of a line of %d", size, len(line))
		}
	})
}

// TestManifestOfOlderRuns: keys that a run file does not use are not in what its shards are known by, so that they are not made again.
func TestManifestOfOlderRuns(t *testing.T) {
	dir := t.TempDir()
	prepare(t, Spec{Dir: dir, Pack: Borders, Train: []string{jsonl(t, "one")}})
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	made, _, _ := bytes.Cut(text, []byte(`"shards"`))
	for _, key := range []string{"loss", "template", "chat", "pack"} {
		if bytes.Contains(made, []byte(`"`+key+`"`)) {
			t.Errorf("%s is in the manifest: %s", key, made)
		}
	}
}
