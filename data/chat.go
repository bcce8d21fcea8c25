package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"sprat/chat"
	"sprat/tasks"
)

// What a model learns of a document.
const (
	All       = "all"       // to write all of it, but for mistakes that are marked
	Assistant = "assistant" // of a chat what the assistant says: thought, answer and the end, where the prompt doesn't have them
)

// chatDocument is a conversation as package chat writes it, and then thought and answer. The thought, text of a single part, may be
// missing, where think is not set.
func chatDocument(f *chat.Format, messages []chat.Message, think bool, thought part, answer string) document {
	var all []string
	for _, m := range messages {
		all = append(all, m.Text)
	}
	doc := document{{chat: &prompt{messages, think}, text: strings.Join(all, "\n") + "\n"}}
	text := func(p part) {
		if p.text != "" {
			doc = append(doc, p)
		}
	}
	tokens := func(ids []int32) {
		for _, id := range ids {
			doc = append(doc, part{token: id})
		}
	}
	if think {
		before, after := f.Around()
		tokens(before)
		text(thought)
		tokens(after)
	}
	text(part{text: answer})
	return doc
}

// conversation is a line of a file of chats.
type conversation struct {
	messages []chat.Message // up to where the last answer begins
	thought  string
	answer   string
}

// parseConversation reads {"messages": [{"role", "content", "reasoning_content"}, …]}, the form of the usual interfaces. The last message
// is the assistant's. What it thought before earlier ones is left out, as it is where a model is asked.
func parseConversation(line []byte) (c conversation, err error) {
	var record struct {
		Messages []struct {
			Role    chat.Role `json:"role"`
			Content *string   `json:"content"`
			Thought string    `json:"reasoning_content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(line, &record); err != nil {
		return c, err
	}
	last := len(record.Messages) - 1
	for i, m := range record.Messages {
		switch {
		case m.Role != chat.System && m.Role != chat.User && m.Role != chat.Assistant:
			return c, fmt.Errorf("message %d: role is %.40q: want %q, %q or %q", i+1, m.Role, chat.System, chat.User, chat.Assistant)
		case m.Content == nil:
			return c, fmt.Errorf("message %d has no string under the key \"content\"", i+1)
		case i < last:
			c.messages = append(c.messages, chat.Message{Role: m.Role, Text: *m.Content})
		case m.Role != chat.Assistant:
			return c, errors.New("the last message is not the assistant's: there is nothing to learn to say")
		default:
			c.answer, c.thought = *m.Content, m.Thought
		}
	}
	if last < 0 {
		return c, errors.New(`it has no list of messages under the key "messages"`)
	}
	return c, nil
}

// conversations yields the chats of .jsonl files.
func conversations(files []string) iter.Seq2[conversation, error] {
	return func(yield func(conversation, error) bool) {
		for _, path := range files {
			var c conversation
			parse := func(line []byte, yield func(string) bool) (more bool, err error) {
				if c, err = parseConversation(line); err != nil {
					return false, err
				}
				return yield("a chat"), nil // which is c
			}
			for _, err := range docs(path, parse) {
				if !yield(c, err) || err != nil {
					return
				}
			}
		}
	}
}

// chats yields the documents of .jsonl files of chats.
func chats(f *chat.Format, files []string) iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		for c, err := range conversations(files) {
			think := c.thought != "" && f.Thinks()
			if !yield(chatDocument(f, c.messages, think, part{text: c.thought}, c.answer), err) || err != nil {
				return
			}
		}
	}
}

// chatText yields the texts of chats.
func chatText(files []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for c, err := range conversations(files) {
			texts := []string{c.thought, c.answer}
			for _, m := range c.messages {
				texts = append(texts, m.Text)
			}
			if err != nil {
				texts = texts[:1] // for the error alone
			}
			for _, text := range texts {
				if (text != "" || err != nil) && !yield(text, err) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// chat is a document of tasks as a chat.
func (p *problems) chat(d tasks.Document) document {
	var question, answer string
	var thought part
	part, think := tasks.User, false
	for _, s := range d {
		switch {
		case s.Kind.Marker():
			part = s.Kind
			think = think || part == tasks.Think
		case part == tasks.User:
			question += s.Text
		case part == tasks.Think:
			thought.add(s)
		default:
			answer += s.Text
		}
	}
	return chatDocument(p.format, []chat.Message{{Role: chat.User, Text: question}}, think, thought, answer)
}

// add appends text, a mistake as what is not to be learned.
func (p *part) add(s tasks.Segment) {
	if s.Kind == tasks.Slip {
		p.silent = append(p.silent, span{len(p.text), len(p.text) + len(s.Text)})
	}
	p.text += s.Text
}
