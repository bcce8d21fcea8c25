package reward

import (
	"slices"
	"strings"

	"sprat/chat"
	"sprat/tokenizer"
)

// The tags as text.
const (
	beginThought = tokenizer.Think
	endThought   = tokenizer.EndThink
	beginAnswer  = "<answer>"
	endAnswer    = "</answer>"
)

// Form is how a question is put to a model, and how an answer is read out of what it writes. It doesn't change, and is safe for
// concurrent use.
type Form struct {
	format        *chat.Format
	think         bool
	tok           *tokenizer.Tokenizer // of Zero; nil otherwise
	before, after []int32              // and what stands around the question
	tags          bool                 // thought and answer are marked by tags in text
}

// Chat is a model's own chat format: a single user turn without a system prompt. A model that can't think isn't asked to.
func Chat(f *chat.Format, think bool) Form { return Form{format: f, think: think && f.Thinks()} }

// Zero is the form in which a base model is asked to think before any fine-tuning: R1-Zero's template (section 2.2, table 1) in words of
// our own, which ask for the structure and say nothing of what to think. As in the paper a thought stands between <think> and </think>,
// and the answer after it between <answer> and </answer>.
//
// Where the tokenizer has tokens for thoughts, these are used, and the prompt opens the thought; the answer then goes without tags
// and ends with the text, as in R1 itself. A small base model that knows these tokens from worked problems can find that form by chance, which
// is all that reinforcement has to begin with. It never spells <answer>.
//
// No token that begins a text stands in front, as train's documents have none.
func Zero(tok *tokenizer.Tokenizer) Form {
	f := Form{format: chat.New(tok, ""), think: true, tok: tok}
	before, after := "The assistant thinks between <think> and </think>, and then answers", ".\nUser: "
	if f.tags = !f.format.Thinks(); f.tags {
		before += " between <answer> and </answer>"
	}
	f.before = tok.Encode(nil, before+after)
	f.after = tok.Encode(nil, "\nAssistant:")
	if !f.tags {
		f.after = tok.Encode(nil, "\nAssistant: <think>")
	}
	return f
}

// Prompt returns the tokens that a model is to continue.
func (f Form) Prompt(question string) []int32 {
	if f.tok == nil {
		return f.format.Encode([]chat.Message{{Role: chat.User, Text: question}}, f.think)
	}
	return append(f.tok.EncodeOrdinary(slices.Clone(f.before), question), f.after...)
}

// Thinks says whether a thought is asked for.
func (f Form) Thinks() bool { return f.think }

// StopIDs are the tokens that end a reply.
func (f Form) StopIDs() []int32 { return f.format.Ends() }

// Stop are the texts that end a reply. Their tokens belong to it.
func (f Form) Stop() []string {
	if !f.tags {
		return nil
	}
	return []string{endAnswer}
}

// Read takes apart the tokens that a model wrote after Prompt, without the token that ended them. ended says that they ended at
// StopIDs, at Stop or at the model's own end of text, and not at a limit.
func (f Form) Read(ids []int32, ended bool) Reply {
	if f.tags {
		return f.readTags(ids, ended)
	}
	return f.readTokens(ids, ended)
}

// readTokens knows a thought by its tokens.
func (f Form) readTokens(ids []int32, ended bool) Reply {
	var thought, said strings.Builder
	add := func(a, b string) { thought.WriteString(a); said.WriteString(b) }
	r := Reply{Formed: ended}
	reader := f.format.Reader(f.Prompt(""))
	begin, end := f.format.Thought()
	closed := false
	for i, id := range ids {
		switch {
		case !f.format.Control(id):
			if reader.Thinking() {
				r.Tokens++
			}
		case id == begin && i == 0 && f.think && !reader.Thinking(): // where the prompt leaves that to the model
		case id == end && reader.Thinking():
			closed = true
		default:
			r.Formed = false
		}
		add(reader.Next(id))
	}
	add(reader.Flush())
	r.Thought, r.Said = thought.String(), said.String()
	r.Formed = r.Formed && closed == f.think && isBlank(r.Thought) != f.think && !isBlank(r.Said) && !tagged(r.Thought) && !tagged(r.Said)
	return r
}

// readTags knows thought and answer by their tags, in text.
func (f Form) readTags(ids []int32, ended bool) Reply {
	r := Reply{Formed: ended}
	var all []byte
	ends := make([]int, len(ids)) // of each token's text
	for i, id := range ids {
		if tag := f.tok.Token(id); f.format.Control(id) && tag != beginThought && tag != endThought {
			r.Formed = false
		}
		all = f.tok.Decode(all, ids[i:i+1], false)
		ends[i] = len(all)
	}
	text := string(all)
	before, rest, opened := strings.Cut(text, beginThought)
	if !opened {
		before, rest = "", text
	}
	thought, rest, closed := strings.Cut(rest, endThought)
	if !opened && !closed {
		thought, rest = "", text
	}
	from := len(before) + len(beginThought)
	for _, e := range ends {
		if e > from && e <= from+len(thought) {
			r.Tokens++
		}
	}
	between, said, answering := strings.Cut(rest, beginAnswer)
	if !answering {
		between, said = "", rest
	}
	said, after, answered := strings.Cut(said, endAnswer)
	r.Thought, r.Said = strings.TrimSpace(thought), strings.TrimSpace(said)
	r.Formed = r.Formed && opened && closed && answering && answered && isBlank(before+between+after) &&
		r.Thought != "" && r.Said != "" && !tagged(thought) && !tagged(said)
	return r
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// tagged reports whether a tag is spelled in a text.
func tagged(s string) bool {
	for _, tag := range []string{beginThought, endThought, beginAnswer, endAnswer} {
		if strings.Contains(s, tag) {
			return true
		}
	}
	return false
}
