package tasks

import (
	"fmt"
	"strings"
)

// The scenes of stories. Each tells a story of so many steps but for the question, which it returns.

// holding: somebody has things, gets some and gives some.
func (t *telling) holding(steps int) string {
	n := t.count()
	t.start(n)
	t.tell(pick(t.rng, "{hero} has {n} {things}.", "{hero} starts with {n} {things}.", "{hero} owns {n} {things}.",
		"{hero} has {n} {things} in a bag.", "In a drawer {hero} keeps {n} {things}.", "{hero} counts {n} {things}.",
		"{hero} has collected {n} {things}.", "{hero} takes {n} {things} along."), n)
	more := []string{"finds {n} more", "buys {n} more", "gets {n} more from {friend}", "picks up {n} more", "is given {n} more",
		"wins {n} more", "collects {n} more", "is sent {n} more", "takes {n} more from {friend}", "receives {n} more",
		"discovers {n} more", "adds {n} more"}
	fewer := []string{"gives {n} to {friend}", "loses {n}", "sells {n}", "gives away {n}", "drops {n}", "throws away {n}",
		"lends {n} to {friend}", "trades {n} away", "leaves {n} at home", "hands {n} to {friend}", "mislays {n}",
		"sends {n} to {friend}"}
	event := func() {
		if k := between(t.rng, 2, 4); t.value*k < 100 && chance(t.rng, 6) {
			words := fmt.Sprintf("makes it %d times as many", k)
			t.apply('*', k, words)
			t.event("{hero}", "{he}", words)
			return
		}
		t.event("{hero}", "{he}", t.change(more, fewer))
	}
	return t.close(steps, event, pick(t.rng, "{hero} has now", "{hero} then has"),
		"How many {things} does {hero} have now?", "How many {things} does {he} have in the end?",
		"Now how many {things} does {he} have?", "What number of {things} does {hero} have then?",
		"How many {things} has {hero} got now?")
}

// boxes: so many in each of some boxes, more come and some go.
func (t *telling) boxes(steps int) string {
	k, n := between(t.rng, 2, 9), between(t.rng, 2, min(12, t.limit))
	box := pick(t.rng, "boxes", "bags", "baskets", "packs", "shelves", "trays", "jars", "crates", "sacks", "drawers")
	t.product(k, n, fmt.Sprintf("%d %s of %d", k, box, n))
	t.tell(strings.ReplaceAll(pick(t.rng, "There are {k} {box} with {n} {things} each.",
		"{hero} fills {k} {box} with {n} {things} each.", "{hero} buys {k} {box} of {n} {things}.",
		"Each of {k} {box} holds {n} {things}.", "{k} {box} hold {n} {things} each.",
		"{hero} has {k} {box}, and in each are {n} {things}.", "In a shop stand {k} {box} of {n} {things} each."), "{box}", box), n, k)
	more := []string{"{n} more are added", "{n} more arrive", "{n} more are brought", "{n} more come in", "{n} more are found",
		"{n} more are bought"}
	fewer := []string{"{n} are sold", "{n} are taken out", "{n} get lost", "{n} are given away", "{n} are used", "{n} go missing",
		"{n} are sent back"}
	event := func() { t.event("", "", t.change(more, fewer)) }
	return t.close(steps-1, event, pick(t.rng, "there are now", "there then are"), "How many {things} are there now?",
		"How many {things} are there in the end?", "What is the number of {things} now?", "How many {things} is that in all?")
}

// A crowd has people or animals somewhere, more that come, and some that go.
type crowd struct{ who, where, more, fewer string }

var crowds = []crowd{
	{"people", "on a bus", "get on", "get off"},
	{"people", "on a train", "get in", "get out"},
	{"people", "in a room", "come in", "go out"},
	{"people", "in a park", "arrive", "leave"},
	{"people", "in a queue", "join it", "leave it"},
	{"guests", "in a hotel", "check in", "check out"},
	{"children", "in a yard", "come to play", "go home"},
	{"children", "in a pool", "jump in", "climb out"},
	{"ducks", "on a pond", "land", "fly off"},
	{"birds", "in a tree", "come", "fly away"},
	{"cars", "in a car park", "drive in", "drive off"},
	{"boats", "in a harbour", "sail in", "sail out"},
	{"fish", "in a tank", "are put in", "are taken out"},
	{"sheep", "in a field", "come in", "run off"},
	{"bees", "in a hive", "fly in", "fly out"},
	{"riders", "on a wheel", "get on", "step down"},
	{"players", "on a field", "join", "stop"},
	{"files", "in a folder", "are saved", "are deleted"},
}

// crowd: they come and go.
func (t *telling) crowd(steps int) string {
	c := pick(t.rng, crowds...)
	t.thing = c.who
	n := t.count()
	t.start(n)
	t.tell(fmt.Sprintf(pick(t.rng, "There are {n} %s %s.", "{n} %s are %s.", "At first {n} %s are %s.", "{hero} sees {n} %s %s.",
		"In the morning there are {n} %s %s."), c.who, c.where), n)
	more := []string{"{n} more " + c.more, "another {n} " + c.more}
	fewer := []string{"{n} " + c.fewer, "{n} of them " + c.fewer}
	for range steps {
		t.event("", "", t.change(more, fewer))
	}
	where := strings.Replace(c.where, " a ", " the ", 1)
	return fmt.Sprintf(pick(t.rng, "How many %s are %s now?", "How many %s are then %s?", "So how many %s are %s?",
		"In the end, how many %s are %s?", "How many %s are left %s?"), c.who, where)
}

// A rate is work or buying by so many at a time: k times n, and perhaps j times m besides. Wordings are apart by a bar.
type rate struct {
	thing        string
	first, again string // {k} times {n}; then {j} times {m}
	single       string // {n} more
	whole        string // there are {n} in all
	total, left  string // the questions
}

var rates = []rate{{
	thing:  "dollars",
	first:  "{hero} buys {k} {things} at {n} dollars each.|{hero} pays {n} dollars for each of {k} {things}.",
	again:  "{He} also buys {j} cups at {m} dollars each.|Then {he} buys {j} bags for {m} dollars each.",
	single: "{He} spends {n} dollars more on a hat.|A toy costs {hero} another {n} dollars.|A drink is {n} dollars more.",
	whole:  "{hero} had {n} dollars.|{He} came with {n} dollars.|In the purse were {n} dollars.",
	total:  "How many dollars does {hero} spend in all?|How many dollars does it cost in all?",
	left:   "How many dollars are left?|How many dollars does {he} keep?",
}, {
	thing:  "dollars",
	first:  "{hero} earns {n} dollars an hour and works {k} hours.|{hero} saves {n} dollars a week for {k} weeks.",
	again:  "Then {he} gets {m} dollars {j} times.|Later it is {m} dollars in each of {j} weeks.",
	single: "{friend} adds {n} dollars.|{He} finds {n} dollars more.",
	whole:  "A bike costs {n} dollars.|{He} needs {n} dollars.",
	total:  "How many dollars does {hero} have then?|How many dollars is that in all?",
	left:   "How many dollars are still missing?|How many dollars does {he} still need?",
}, {
	thing:  "pages",
	first:  "{hero} reads {n} pages a day for {k} days.|For {k} days {hero} reads {n} pages a day.",
	again:  "Then {he} reads {m} pages a day for {j} days.|For {j} more days {he} reads {m} pages a day.",
	single: "On Sunday {he} reads {n} more.|In the night {he} reads {n} pages more.",
	whole:  "The book has {n} pages.|It is a book of {n} pages.",
	total:  "How many pages does {he} read in all?|How many pages has {hero} read?",
	left:   "How many pages are left?|How many pages are still to read?",
}, {
	thing:  "km",
	first:  "{hero} walks {n} km a day for {k} days.|For {k} days {hero} rides {n} km a day.",
	again:  "Then it is {m} km a day for {j} days.|After that {he} does {m} km on each of {j} days.",
	single: "On the last day {he} goes {n} km more.|Another {n} km follow.",
	whole:  "The way is {n} km long.|The whole trail has {n} km.",
	total:  "How many km is that in all?|How far does {hero} get, in km?",
	left:   "How many km are left?|How many km are still to go?",
}, {
	thing:  "trees",
	first:  "{hero} plants {k} rows of {n} trees.|In a garden stand {k} rows of {n} trees each.",
	again:  "{j} rows of {m} trees are added.|{friend} plants {j} rows of {m} trees.",
	single: "{n} more are planted at the gate.|{friend} plants {n} more.",
	whole:  "There is room for {n} trees.|The plan says {n} trees.",
	total:  "How many trees are there in all?|How many trees is that?",
	left:   "How many trees are still missing?|How many more trees will that take?",
}, {
	thing:  "posts",
	first:  "{hero} paints {n} posts an hour for {k} hours.|{hero} works {k} hours and paints {n} posts in each.",
	again:  "{friend} paints {m} posts an hour for {j} hours.|Then {he} does {m} posts an hour for {j} hours.",
	single: "{friend} paints {n} more.|Before dark {he} does {n} more.",
	whole:  "The fence has {n} posts.|There are {n} posts to paint.",
	total:  "How many posts are painted?|How many posts is that in all?",
	left:   "How many posts are left?|How many posts are not painted yet?",
}, {
	thing:  "rolls",
	first:  "{hero} bakes {k} trays of {n} rolls.|There are {n} rolls on each of {k} trays that {hero} bakes.",
	again:  "{friend} bakes {j} trays of {m} rolls.|Later {he} bakes {j} trays of {m} rolls.",
	single: "{n} rolls are left from before.|{friend} brings {n} rolls more.",
	whole:  "{n} rolls are wanted.|The guests want {n} rolls.",
	total:  "How many rolls are there in all?|How many rolls does that make?",
	left:   "How many rolls are still missing?|How many more rolls are needed?",
}}

// shopOrWork: a rate, once or twice, with something more or against the whole.
func (t *telling) shopOrWork(steps int) string {
	r := pick(t.rng, rates...)
	t.thing = r.thing
	k, n := between(t.rng, 2, 9), between(t.rng, 2, min(12, t.limit))
	t.product(k, n, fmt.Sprintf("%d times %d", k, n))
	t.tell(pick(t.rng, strings.Split(r.first, "|")...), n, k)
	for steps--; steps > 0; {
		switch {
		case steps > 1 && chance(t.rng, 2):
			j, m, before, expr := between(t.rng, 2, 9), between(t.rng, 2, min(12, t.limit)), t.value, t.expr
			t.tell(pick(t.rng, strings.Split(r.again, "|")...), n, k, m, j)
			t.product(j, m, fmt.Sprintf("%d times %d", j, m))
			t.line("together", step('+', before, t.value))
			t.value, t.expr = before+t.value, min(expr, t.expr)+"+"+max(expr, t.expr)
			steps -= 2
		case steps == 1 && chance(t.rng, 2):
			whole := t.value + t.count()
			t.tell(pick(t.rng, strings.Split(r.whole, "|")...), whole)
			t.line("left", step('-', whole, t.value))
			t.value, t.expr = whole-t.value, fmt.Sprintf("%d-(%s)", whole, t.expr)
			return pick(t.rng, strings.Split(r.left, "|")...)
		default:
			m := t.count()
			t.tell(pick(t.rng, strings.Split(r.single, "|")...), m)
			t.apply('+', m, fmt.Sprintf("%d more", m))
			steps--
		}
	}
	return pick(t.rng, strings.Split(r.total, "|")...)
}

// event tells what a subject does, once by name and again by a word that stands for it.
func (t *telling) event(subject, again, words string) {
	lead := pick(t.rng, subject, again, "then "+again, "later "+again, "after that "+again, "next "+again, "the next day "+again,
		"on "+pick(t.rng, weekdays...)+" "+subject, "a little later "+again, "then "+subject)
	if len(t.sentences) == 1 && chance(t.rng, 3) {
		lead = pick(t.rng, "first "+again, "at first "+subject, "one day "+subject, "soon "+again)
	}
	t.tell(lead + " " + words + pick(t.rng, "", "", "", "", " in the morning", " after lunch", " in the evening", " before noon",
		" at four o'clock") + ".")
}

// close tells so many steps: events, and perhaps an ending of its own: sharing, or somebody who has more. It returns the
// question. What somebody has more than is said by than.
func (t *telling) close(steps int, event func(), than string, questions ...string) string {
	if steps > 1 && chance(t.rng, 5) {
		for range steps - 2 {
			event()
		}
		return t.together(than)
	}
	for range steps - 1 {
		event()
	}
	if ks := divisors(t.value); steps > 0 && len(t.lines) > 1 && len(ks) > 0 && chance(t.rng, 3) {
		return t.share(pick(t.rng, ks...))
	}
	if steps > 0 {
		event()
	}
	return pick(t.rng, questions...)
}

func (t *telling) share(k int) string {
	groups := pick(t.rng, "bags", "rows", "heaps", "boxes", "parts")
	words := fmt.Sprintf(pick(t.rng, "put into %d equal ", "split into %d equal ", "made into %d equal ",
		"divided into %d equal "), k) + groups
	t.tell(pick(t.rng, "They are ", "Then they are ", "In the end they are ", "Now all of them are ") + words + ".")
	t.apply('/', k, words)
	return pick(t.rng, "How many {things} are in each of the ", "How many are there in each of the ",
		"What is the number in each of the ") + groups + "?"
}

// together brings in somebody who has more, and asks for both: two steps.
func (t *telling) together(than string) string {
	n, mine, expr := t.count(), t.value, t.expr
	t.tell(pick(t.rng, "{friend} has {n} more than ", "{friend} counts {n} more than ", "{friend} keeps {n} more than ",
		"{friend} owns {n} more than ")+than+".", n)
	t.apply('+', n, fmt.Sprintf("%d more than that", n))
	t.line("together", step('+', mine, t.value))
	t.value, t.expr = mine+t.value, fmt.Sprintf("(%s)+(%s+%d)", expr, expr, n)
	return pick(t.rng, "How many {things} are there together?", "How many {things} is that together?", "How many are there in all?")
}
