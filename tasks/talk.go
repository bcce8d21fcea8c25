package tasks

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A remark is one exchange of small talk.
type remark struct {
	topic     string // the key
	question  string
	reply     string
	instances []string // all replies on the topic
	thought   string
}

// A topic is questions and what may be replied to each.
type topic struct {
	name      string
	questions []string
	replies   []string
}

var topics = []topic{
	{"hello", []string{"Hello", "Hi", "Hello!", "Hi there", "Good morning", "Good evening", "Hey", "Hello, sprat"},
		[]string{"Hello! What can I work out for you?", "Hello! Give me a problem.", "Hi! Shall we do some arithmetic?"}},
	{"who", []string{"Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Are you a person?",
		"Are you an AI?", "Who am I talking to?"},
		[]string{"I am sprat's small model. I solve short problems step by step.", "I am a small language model, made with sprat."}},
	{"size", []string{"How big are you?", "How large is your model?", "Are you a large model?", "Are you as clever as the big models?"},
		[]string{"I am very small: a few million parameters at work for each token.",
			"I am a very small model, so I keep to small problems."}},
	{"maker", []string{"Who made you?", "Where do you come from?", "How were you made?", "What is sprat?"},
		[]string{"I was trained with sprat, a program for making and running language models.",
			"I come with sprat, a program that trains and serves language models."}},
	{"can", []string{"What can you do?", "How can you help me?", "What are you good at?", "What do you know?", "Help",
		"What should I ask you?"},
		[]string{"I can calculate, solve simple equations, continue sequences, sort numbers and solve short word problems.",
			"Ask me sums, equations like 3x+4=19, Countdown, sequences, clock times or short word problems."}},
	{"how", []string{"How are you?", "How do you do?", "Are you well?", "How is it going?"},
		[]string{"Well, thank you. Do you have a problem for me?", "Fine, thank you. What shall we work out?"}},
	{"sure", []string{"Are you always right?", "Do you make mistakes?", "Can I trust you?", "Are you sure?"},
		[]string{"No, I make mistakes. Please check what matters.", "Not always. I am small, so check my work."}},
	{"thanks", []string{"Thanks", "Thank you", "Thank you!", "Great, thanks", "Well done", "That was helpful"},
		[]string{"You are welcome.", "Gladly. Have you another one?"}},
	{"bye", []string{"Bye", "Goodbye", "See you", "Good night", "That is all for today"},
		[]string{"Goodbye!", "Goodbye, and come back with a problem."}},
}

// beyond are templates of what no small model knows.
var beyond = []string{"What is the capital of {place}?", "Who was the first king of {place}?", "How many people live in {place}?",
	"What is the weather in {place}?", "Plan a trip to {place}.", "What happened in {place} in {year}?",
	"Who won the match in {year}?", "Tell me the news of today.", "Write an essay about {topic}.", "Explain {topic} to me.",
	"What do you think about {topic}?", "Write a poem about {topic}.", "Summarise a book on {topic}.",
	"Give me advice on {topic}.", "Translate {topic} into French.", "Which film about {topic} is the best?",
	"Write a program for {topic}.", "What is the history of {topic}?", "Who invented {topic}?", "Which medicine should I take?",
	"Should I buy shares?", "What is the meaning of life?", "Is there a god?", "Tell me a joke.", "What did I say yesterday?",
	"Can you see this picture?", "Open a web page for me.", "Send a mail to {name}.", "Who is {name}?", "Where does {name} live?",
	"Call {name}."}

// The thoughts about talk.
const (
	chatting = "No problem to work out: they are talking to me."
	unknown  = "That is nothing I can work out step by step, and I know nothing else."
)

// drawRemark draws from few phrases up to difficulty 1, and from many beyond.
func drawRemark(rng *rand.Rand, difficulty float64) puzzle {
	if difficulty > 1 {
		return drawWideRemark(rng)
	}
	if chance(rng, 2) {
		return drawBeyond(rng, beyond)
	}
	t := pick(rng, topics...)
	return remark{t.name, pick(rng, t.questions...), pick(rng, t.replies...), t.replies, chatting}
}

func drawBeyond(rng *rand.Rand, templates []string) remark {
	question := strings.NewReplacer(
		"{place}", pick(rng, "France", "Japan", "Peru", "Kenya", "Canada", "Norway", "India", "Egypt", "Brazil", "Rome",
			"Oslo", "Lima", "Paris", "Berlin"),
		"{topic}", pick(rng, "love", "war", "music", "politics", "physics", "the sea", "electricity", "chess", "cooking",
			"money", "history", "art", "football", "tax law", "gardens"),
		"{year}", fmt.Sprint(between(rng, 1900, 2025)), "{name}", personName(rng)).Replace(pick(rng, templates...))
	replies := []string{"That is beyond me. I am a small model for short problems.",
		"That is beyond me. I can do sums, equations and short word problems.", "Sorry, that is beyond me."}
	return remark{"beyond: " + question, question, pick(rng, replies...), replies, unknown}
}

func (r remark) ask(*rand.Rand) string { return r.question }
func (r remark) key() string           { return r.topic }
func (r remark) answer() string        { return r.reply }

// solve says why there is nothing to work out. Only documents beyond difficulty 1 show it.
func (r remark) solve(w *writer, _ *rand.Rand) { w.say("%s\n", r.thought) }

// verify knows the sentences of the topic, and says nothing of other good ones.
func (r remark) verify(reply string) bool {
	for _, known := range r.instances {
		if known, _ = tidy(known); known == reply {
			return true
		}
	}
	return false
}
