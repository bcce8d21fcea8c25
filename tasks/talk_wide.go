package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// wideTopics are what people say to a chat besides.
var wideTopics = append(slices.Clone(topics), []topic{
	{"name", []string{"My name is {name}.", "I am {name}.", "Hello, {name} here", "Hi, I'm {name}"},
		[]string{"Hello, {name}! What can I work out for you?", "Hello, {name}! Do you have a problem for me?"}},
	{"limits", []string{"What can't you do?", "What are you bad at?", "What do you not know?", "What are your limits?"},
		[]string{"I know nothing of the world, and long problems are too much for me.", "Facts, news and long texts are beyond me."}},
	{"thinking", []string{"How do you think?", "What is DeepThink?", "Why do you think first?", "Can you think?", "Do you really think?"},
		[]string{"I write the steps down, one a line, before I answer.", "I work in small steps, and read the answer off the last."}},
	{"languages", []string{"Do you speak French?", "Do you speak German?", "Do you know Chinese?", "Which languages do you speak?"},
		[]string{"I know English alone, and numbers.", "Only English. Numbers are the same everywhere."}},
	{"alive", []string{"Are you alive?", "Do you have feelings?", "Are you human?", "How old are you?", "Do you sleep?", "Where do you live?"},
		[]string{"I am a program, and a small one.", "I am only a program on this machine."}},
	{"quiz", []string{"Give me a problem.", "Ask me something.", "Let's play.", "Test me."},
		[]string{"You ask, and I answer: that is all I learned.", "I only answer. Try me with a sum or a short story problem."}},
	{"fine", []string{"OK", "Okay", "Yes", "No", "Good", "I see", "Sure", "Maybe", "Cool", "Nice", "Right"},
		[]string{"Good. What shall we work out?", "Fine. Do you have a problem for me?"}},
	{"wrong", []string{"That was wrong.", "You are wrong.", "That is not right.", "Wrong!", "You made a mistake.", "Try again."},
		[]string{"Sorry. Please ask again, and I will go step by step.", "Sorry, I make mistakes. Give me the problem once more."}},
	{"rude", []string{"You are stupid.", "You are useless.", "I don't like you.", "This is boring."},
		[]string{"I am small, and do what I can.", "Sorry. Sums and short problems are all I can do."}},
	{"memory", []string{"Do you remember me?", "What did I ask before?", "Will you remember this?", "Do you learn from me?"},
		[]string{"No. I know only what stands in this chat.", "I keep nothing when this chat is over."}},
	{"friend", []string{"I am sad.", "I am bored.", "I am happy today.", "I am tired.", "I like you.", "Do you like me?"},
		[]string{"I am only a program, but I will gladly work out a problem with you.", "Then let us work something out."}},
}...)

// wideBeyond are more templates of what no small model knows: of the world, of words, and of mathematics that it never saw.
var wideBeyond = append(slices.Clone(beyond), "What is a {word}?", "What does {word} mean?", "How is a {word} made?", "Where can I buy a {word}?",
	"Why does a {word} cost so much?", "How do I clean a {word}?", "How heavy is a {word}?", "What colour is a {word}?", "Draw a {word}.",
	"Show me a picture of a {word}.", "Tell me a story about a {word} and a {word2}.", "Write a song about a {word}.",
	"Which is better, a {word} or a {word2}?", "What rhymes with {word}?", "What is the French for {word}?", "Give me a recipe with {word}.",
	"Translate this into {tongue}: the {word} is here.", "How do you say {word} in {tongue}?", "Who wrote the book about the {word}?",
	"When was {place} founded?", "Which river flows through {place}?", "How far is it from {place} to the moon?", "Is {place} bigger than {place2}?",
	"What do people eat in {place}?", "Who is the president of {place}?", "What language do they speak in {place}?",
	"Why did {name} leave {place}?", "When was {name} born?", "Is {name} a good name?", "What should I give {name} for a birthday?",
	"What time is it?", "What day is it today?", "What is the date?", "Will it rain tomorrow?", "How do I get rich?", "Am I ill?",
	"Why is the sky blue?", "How do planes fly?", "What is electricity?", "How does {topic} work?", "When did {topic} begin?",
	"Write me an email about {topic}.", "Is {topic} hard to learn?", "Teach me {topic}.", "What is the best book on {topic}?",
	"Write Python code to sort a list.", "Fix my code.", "Build me a website about {topic}.", "Play music.", "Order a pizza.", "Book a flight to {place}.",
	"What is the square root of {n}?", "What is the derivative of x^{k}?", "Integrate x^{k}.", "Is {n} a prime number?", "What is {n}!?",
	"Solve x^2 + {k}x = {n}.", "What is sin({n})?", "What is log({n})?", "Prove that there are endless primes.",
	"What is the area of a circle with radius {k}?", "What is {k} to the power of {k2}?", "Write {n} in binary.", "What is pi?")

// drawWideRemark draws one of many phrases, of which people write some without capitals and full stops.
func drawWideRemark(rng *rand.Rand) puzzle {
	r := drawProperRemark(rng)
	if chance(rng, 4) {
		r.question = strings.TrimRight(strings.ToLower(r.question), ".?!")
	}
	return r
}

func drawProperRemark(rng *rand.Rand) remark {
	word := func() string { return pick(rng, everyday...) }
	place := func() string {
		return pick(rng, "France", "Spain", "Greece", "China", "Chile", "Texas", "London", "Madrid", "Cairo", "Tokyo", "Vienna", "Sweden",
			"Turkey", "Poland", "Iran", "Cuba", "Ghana", "Nepal", "Boston", "Moscow", "Dublin", "Delhi")
	}
	fill := strings.NewReplacer("{word}", word(), "{word2}", word(), "{place}", place(), "{place2}", place(), "{name}", personName(rng),
		"{tongue}", pick(rng, "French", "German", "Spanish", "Latin", "Chinese", "Russian", "Italian", "Greek"),
		"{n}", fmt.Sprint(between(rng, 10, 999)), "{k}", fmt.Sprint(between(rng, 2, 9)), "{k2}", fmt.Sprint(between(rng, 2, 9))).Replace
	if chance(rng, 2) {
		templates := slices.Clone(wideBeyond)
		for i, t := range templates {
			templates[i] = fill(t)
		}
		return drawBeyond(rng, templates)
	}
	t := pick(rng, wideTopics...)
	var replies []string
	for _, reply := range t.replies {
		replies = append(replies, fill(reply))
	}
	question := fill(pick(rng, t.questions...))
	return remark{t.name + ": " + question, question, pick(rng, replies...), replies, chatting}
}
