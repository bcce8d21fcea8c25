// Package chat turns a conversation into tokens, and the tokens of an answer into what was thought and what is said.
//
//	f := chat.New(tok, template)
//	ids := f.Encode(messages, think)
//	r := f.Reader(ids)
//	for … { thought, said := r.Next(id) }
//	thought, said := r.Flush()
//
// The formats are those of DeepSeek V3, R1 and V3.1, which differ in what follows <｜Assistant｜>:
//
//	         V3       R1                        R1-0528                   V3.1
//	to think          <think>\n                 (the model's to begin)    <think>
//	or not            <think>\n\n</think>\n\n   <think>\n\n</think>\n\n   </think>
//	before                                                                </think>
//
// (before: in front of earlier answers.) A turn is written as
//
//	<｜begin▁of▁sentence｜>system<｜User｜>question<｜Assistant｜>answer<｜end▁of▁sentence｜><｜User｜>…
//
// A model whose tokenizer has no <｜User｜> and <｜Assistant｜> knows no turns: its conversation is one text, which it continues.
//
// Only this package writes control tokens. Text from outside is encoded as text, whatever it spells, and so is each message by
// itself: the tokens of a conversation begin with those of the conversation until any earlier message, and an engine finds them
// in its cache. What was thought is left out of earlier turns, as the models expect it: where a turn was thought about, the next
// one finds the cache up to the <｜Assistant｜> before it.
package chat

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sprat/tokenizer"
)

// Role says whose a message is.
type Role string

const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
)

// Message is one of a conversation. Of an assistant it is what was said, without what was thought.
type Message struct {
	Role Role
	Text string
}

// none is the id of a token that a tokenizer hasn't got.
const none = -1

// Format is how a model's conversations are written. It does not change once made, and is safe for concurrent use.
type Format struct {
	tok                 *tokenizer.Tokenizer
	bos, eos            int32
	user, assistant     int32
	think, endThink     int32
	thinking, answering []int32 // what follows <｜Assistant｜> for an answer with and without thought
	before              []int32 // and in front of earlier answers
	control             map[int32]bool
}

// New returns the format of a model with this tokenizer. The template, the Jinja text that is published with it, tells one
// format from another; it may be missing, and is never run.
func New(tok *tokenizer.Tokenizer, template string) *Format {
	f := &Format{tok: tok, control: map[int32]bool{}}
	for _, t := range []struct {
		id   *int32
		text string
	}{
		{&f.bos, tokenizer.BOS}, {&f.eos, tokenizer.EOS}, {&f.user, tokenizer.User}, {&f.assistant, tokenizer.Assistant},
		{&f.think, tokenizer.Think}, {&f.endThink, tokenizer.EndThink},
	} {
		*t.id = none
		if id, ok := tok.ID(t.text); ok {
			*t.id = id
		}
	}
	for id := range int32(tok.VocabSize()) {
		if text := tok.Token(id); strings.HasPrefix(text, "<｜") && strings.HasSuffix(text, "｜>") || tok.Special(id) {
			f.control[id] = true
		}
	}
	f.openings(template)
	return f
}

// openings sets what follows <｜Assistant｜>.
func (f *Format) openings(template string) {
	if !f.Thinks() {
		return
	}
	f.control[f.think], f.control[f.endThink] = true, true
	line := f.tok.EncodeOrdinary(nil, "\n")
	lines := f.tok.EncodeOrdinary(nil, "\n\n")
	f.answering = slices.Concat([]int32{f.think}, lines, []int32{f.endThink}, lines)
	switch {
	case strings.Contains(template, tokenizer.Assistant+tokenizer.Think+`\n`): // R1
		f.thinking = slices.Concat([]int32{f.think}, line)
	case template == "" || strings.Contains(template, "thinking"): // V3.1
		f.thinking, f.answering, f.before = []int32{f.think}, []int32{f.endThink}, []int32{f.endThink}
	}
}

// Turns says whether the model knows turns. Otherwise it continues text.
func (f *Format) Turns() bool { return f.user != none && f.assistant != none }

// Thinks says whether the model can think before it answers.
func (f *Format) Thinks() bool { return f.Turns() && f.think != none && f.endThink != none }

// Toggles says whether the model was trained to answer with a thought and without one, as V3.1 was and R1 was not.
func (f *Format) Toggles() bool { return f.Thinks() && len(f.before) > 0 }

// Thought returns the tokens that begin and end a thought; -1 each where the model can't think.
func (f *Format) Thought() (begin, end int32) {
	if !f.Thinks() {
		return none, none
	}
	return f.think, f.endThink
}

// Control says whether a token marks something, rather than being part of a text: turns, thoughts, the end, and the like.
func (f *Format) Control(id int32) bool { return f.control[id] }

// Ends are the tokens that end an answer: <｜User｜> among them, as what follows isn't the model's to say.
func (f *Format) Ends() []int32 {
	return slices.DeleteFunc([]int32{f.eos, f.user}, func(id int32) bool { return id == none })
}

// Encode returns the tokens of a conversation, up to where the model's answer begins.
func (f *Format) Encode(messages []Message, think bool) []int32 {
	ids, _ := f.EncodeSaid(messages, think)
	return ids
}

// Span is the tokens From to To, of some.
type Span struct{ From, To int }

// EncodeSaid is Encode, and tells where in it lies what the model said, each time with the token that ended it.
func (f *Format) EncodeSaid(messages []Message, think bool) (ids []int32, said []Span) {
	if !f.Turns() {
		return f.encodeText(messages), nil
	}
	var system []string
	for _, m := range messages {
		if m.Role == System {
			system = append(system, m.Text)
		}
	}
	ids = f.tok.EncodeOrdinary(f.mark(nil, f.bos), strings.Join(system, "\n\n"))
	for _, m := range messages {
		switch m.Role {
		case User:
			ids = f.tok.EncodeOrdinary(append(ids, f.user), m.Text)
		case Assistant:
			ids = append(append(ids, f.assistant), f.before...)
			from := len(ids)
			ids = f.mark(f.tok.EncodeOrdinary(ids, m.Text), f.eos)
			said = append(said, Span{from, len(ids)})
		}
	}
	ids = append(ids, f.assistant)
	if think && f.Thinks() {
		return append(ids, f.thinking...), said
	}
	return append(ids, f.answering...), said
}

// Around returns the tokens that a model which thinks writes before and after a thought, where Encode asked for one: before it
// nothing, unless the format leaves its beginning to the model.
func (f *Format) Around() (before, after []int32) {
	if !f.Thinks() {
		return nil, nil
	}
	if f.Toggles() {
		return nil, []int32{f.endThink}
	}
	line, lines := f.tok.EncodeOrdinary(nil, "\n"), f.tok.EncodeOrdinary(nil, "\n\n")
	if len(f.thinking) == 0 {
		before = append([]int32{f.think}, line...)
	}
	return before, slices.Concat(line, []int32{f.endThink}, lines)
}

// mark appends a token, if there is one.
func (f *Format) mark(ids []int32, id int32) []int32 {
	if id == none {
		return ids
	}
	return append(ids, id)
}

// encodeText is Encode for a model without turns: one text after another. What is new begins a paragraph, unless it says
// otherwise by white space at the border. What the model said goes on right where it began.
func (f *Format) encodeText(messages []Message) []int32 {
	var ids []int32
	last := '\n'
	for _, m := range messages {
		if m.Text == "" {
			continue
		}
		first, _ := utf8.DecodeRuneInString(m.Text)
		if m.Role != Assistant && !unicode.IsSpace(first) && !unicode.IsSpace(last) {
			ids = f.tok.EncodeOrdinary(ids, "\n\n")
		}
		ids = f.tok.EncodeOrdinary(ids, m.Text)
		last, _ = utf8.DecodeLastRuneInString(m.Text)
	}
	if len(ids) == 0 {
		return f.mark(nil, f.eos) // which ends a text, so that another begins
	}
	return ids
}

// Reader turns an answer's tokens into text.
type Reader struct {
	format  *Format
	decoder *tokenizer.Stream
	thought bool // the model is thinking
	begun   bool // there was text in this part
}

// Reader returns a Reader of what follows prompt, which may have begun a thought.
func (f *Format) Reader(prompt []int32) *Reader {
	r := &Reader{format: f, decoder: f.tok.Stream()}
	for _, id := range prompt {
		r.turn(id)
	}
	return r
}

// Thinking says whether a token that comes now is thought.
func (r *Reader) Thinking() bool { return r.thought }

// turn follows a token that may begin or end a thought, or a turn.
func (r *Reader) turn(id int32) {
	switch id {
	case none:
	case r.format.think:
		r.thought = true
	case r.format.endThink, r.format.user, r.format.assistant:
		r.thought = false
	}
}

// Next returns the text that is certain with one more token. Control tokens have none. The line breaks that R1's models put
// at the beginning of both parts are left out, where the model thinks.
func (r *Reader) Next(id int32) (thought, said string) {
	if !r.format.control[id] {
		return r.part(r.decoder.Next(id))
	}
	thought, said = r.Flush()
	was := r.thought
	if r.turn(id); r.thought != was {
		r.begun = false
	}
	return thought, said
}

// Flush returns what was held back, when no more tokens come.
func (r *Reader) Flush() (thought, said string) { return r.part(r.decoder.Flush()) }

// part returns text as of the part it is in.
func (r *Reader) part(text string) (thought, said string) {
	if !r.begun && r.format.Thinks() {
		text = strings.TrimLeft(text, "\n")
	}
	r.begun = r.begun || text != ""
	if r.thought {
		return text, ""
	}
	return "", text
}
