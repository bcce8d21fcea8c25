package tasks

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

func drawMeasure(rng *rand.Rand, difficulty float64) puzzle {
	return pick(rng, drawClockEnd, drawClockLength, drawChange, drawConversion, drawRest)(rng, difficulty)
}

// drawMinutes draws minutes of an hour: round ones where it is easy.
func drawMinutes(rng *rand.Rand, difficulty float64) int {
	if difficulty < 0.5 {
		return 10 * rng.IntN(6)
	}
	return rng.IntN(60)
}

func clock(minutes int) string { return fmt.Sprintf("%d:%02d", minutes/60, minutes%60) }

// event is what has a beginning and an end.
func event(rng *rand.Rand) string {
	return pick(rng, "film", "lesson", "match", "concert", "train ride", "meeting", "party", "walk", "race", "play", "show",
		"flight", "bus trip")
}

const day = 24 * 60

// drawClockEnd asks when something ends. Beyond difficulty 1 it may end on the next day.
func drawClockEnd(rng *rand.Rand, difficulty float64) puzzle {
	start, hours := between(rng, 0, 23)*60+drawMinutes(rng, difficulty), between(rng, 1, dial(rng, difficulty, 2, 5))
	minutes := drawMinutes(rng, difficulty)
	if end := start + hours*60 + minutes; end >= day && difficulty <= 1 {
		start -= (end/60 - 23) * 60
	}
	end := (start + hours*60 + minutes) % day
	return told{
		question: fmt.Sprintf(pick(rng,
			"A %[1]s starts at %[2]s and lasts %[3]s. When does it end?",
			"The %[1]s begins at %[2]s. It takes %[3]s. What time is it over?",
			"It is %[2]s now. What time will it be in %[3]s?",
			"When does a %[1]s of %[3]s end that starts at %[2]s?"), event(rng), clock(start), duration(hours, minutes)),
		name:  fmt.Sprintf("%s + %d:%02d", clock(start), hours, minutes),
		forms: clockForms(end),
		steps: func(w *writer, rng *rand.Rand) {
			h, m := start/60+hours, start%60+minutes
			w.say("Hours: %d+%d=%d\n", start/60, hours, h)
			w.say("Minutes: %d+%d=%d\n", start%60, minutes, m)
			if m >= 60 {
				if m > 60 && chance(rng, 4) {
					w.slip("%d:%d\n", h, m)
					w.say("No, %d minutes are more than an hour.\n", m)
				}
				w.say("%d-60=%d, one hour more: %d+1=%d\n", m, m-60, h, h+1)
				h++
			}
			if h >= 24 {
				w.say("Next day: %d-24=%d\n", h, h-24)
			}
		},
	}
}

func clockForms(minutes int) []string {
	return []string{clock(minutes), fmt.Sprintf("%02d:%02d", minutes/60, minutes%60)}
}

func duration(hours, minutes int) string {
	h, m := plural(hours, "hour"), plural(minutes, "minute")
	switch {
	case minutes == 0:
		return h
	case hours == 0:
		return m
	}
	return h + " and " + m
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// drawClockLength asks how many minutes pass.
func drawClockLength(rng *rand.Rand, difficulty float64) puzzle {
	hours := between(rng, 1, dial(rng, difficulty, 2, 5))
	start, m := between(rng, 0, 23-hours)*60+drawMinutes(rng, difficulty), drawMinutes(rng, difficulty)
	end := (start/60+hours)*60 + m
	return told{
		question: fmt.Sprintf(pick(rng,
			"A %[1]s starts at %[2]s and ends at %[3]s. How many minutes does it last?",
			"How many minutes are there from %[2]s to %[3]s?",
			"The %[1]s begins at %[2]s and is over at %[3]s. How long is it in minutes?"), event(rng), clock(start), clock(end)),
		name:  clock(start) + " to " + clock(end),
		forms: amount(end-start, "minutes", "minute", "min"),
		steps: func(w *writer, _ *rand.Rand) {
			w.say("Hours: %d-%d=%d, %s\n", end/60, start/60, hours, step('*', hours, 60))
			w.say("Minutes: %d-%d=%d\n", m, start%60, m-start%60)
			w.say("%d%+d=%d\n", hours*60, m-start%60, end-start)
		},
	}
}

// drawChange asks what is left of a banknote.
func drawChange(rng *rand.Rand, difficulty float64) puzzle {
	count, price := between(rng, 2, dial(rng, difficulty, 3, 9)), 25*between(rng, 1, dial(rng, difficulty, 4, 8))
	if difficulty >= 0.5 {
		price = 5 * between(rng, 2, dial(rng, difficulty, 20, 60))
	}
	total := count * price
	note := 100
	for _, n := range []int{200, 500, 1000, 2000, 5000, 10_000} {
		if note <= total {
			note = n
		}
	}
	note = max(note, (total/100+1)*100) // beyond the notes, whole dollars
	rest := note - total
	cents := strconv.Itoa(rest) + " cents"
	return told{
		question: fmt.Sprintf(pick(rng,
			"%[4]s buys %[1]d %[5]s at %[2]s each and pays with $%[3]d. How much change is there?",
			"The price of %[5]s is %[2]s each. What is left of $%[3]d after buying %[1]d?",
			"%[4]s has $%[3]d and buys %[1]d %[5]s for %[2]s each. How much money is left?"),
			count, dollars(price), note/100, personName(rng), pick(rng, "pens", "cakes", "cards", "apples", "tickets", "drinks",
				"rolls", "balls", "maps", "cups")),
		name: fmt.Sprintf("%d-%d*%d cents", note, count, price),
		forms: []string{dollars(rest), dollars(rest)[1:], dollars(rest)[1:] + " dollars", cents,
			strings.TrimSuffix(dollars(rest), ".00"), strings.TrimSuffix(dollars(rest), ".00")[1:]},
		steps: func(w *writer, _ *rand.Rand) {
			w.say("%s is %d cents.\n%s\n", dollars(price), price, step('*', price, count))
			w.say("$%d is %d cents.\n%s\n", note/100, note, step('-', note, total))
		},
	}
}

func dollars(cents int) string { return fmt.Sprintf("$%d.%02d", cents/100, cents%100) }

// A unit is a large one with the small one that it has some of.
type unit struct {
	large, short string
	small        string
	names        []string // of the small one
	each         int
}

func drawUnit(rng *rand.Rand, difficulty float64) unit {
	units := []unit{
		{"week", "weeks", "days", []string{"day"}, 7},
		{"day", "days", "hours", []string{"hour", "h"}, 24},
		{"hour", "hours", "minutes", []string{"minute", "min"}, 60},
		{"minute", "minutes", "seconds", []string{"second", "s", "sec"}, 60},
		{"metre", "m", "cm", []string{"centimetres", "centimeters"}, 100},
		{"centimetre", "cm", "mm", []string{"millimetres", "millimeters"}, 10},
		{"kilometre", "km", "m", []string{"metres", "meters"}, 1000},
		{"kilogram", "kg", "g", []string{"grams", "gram"}, 1000},
		{"litre", "litres", "ml", []string{"millilitres", "milliliters"}, 1000},
		{"dozen", "dozen", "eggs", []string{"egg"}, 12},
		{"foot", "feet", "inches", []string{"inch", "in"}, 12},
	}
	return units[rng.IntN(dial(rng, min(difficulty, 1), 7, len(units)))]
}

// several writes a number of the large unit, which is 2 at least.
func (u unit) several(n int) string { return fmt.Sprintf("%d %s", n, u.short) }

// drawConversion asks for so many large units and so many small ones in small ones.
func drawConversion(rng *rand.Rand, difficulty float64) puzzle {
	u := drawUnit(rng, difficulty)
	n, more := between(rng, 2, dial(rng, difficulty, 4, 12)), between(rng, 1, u.each-1)
	return told{
		question: fmt.Sprintf(pick(rng,
			"How many %[1]s are %[2]s and %[3]d %[1]s?",
			"Write %[2]s and %[3]d %[1]s in %[1]s.",
			"What is %[2]s %[3]d %[1]s in %[1]s?"), u.small, u.several(n), more),
		name:  fmt.Sprintf("%d %s %d", n, u.large, more),
		forms: amount(n*u.each+more, u.small, u.names...),
		steps: func(w *writer, _ *rand.Rand) {
			w.say("1 %s is %d %s.\n", u.large, u.each, u.small)
			w.say("%s\n%s\n", step('*', n, u.each), step('+', n*u.each, more))
		},
	}
}

// drawRest asks what is left of so many large units when small ones are gone.
func drawRest(rng *rand.Rand, difficulty float64) puzzle {
	u := drawUnit(rng, difficulty)
	n := between(rng, 2, dial(rng, difficulty, 4, 9))
	less := between(rng, 1, n*u.each-1)
	return told{
		question: fmt.Sprintf(pick(rng,
			"Of %[2]s, %[3]d %[1]s are gone. How many %[1]s are left?",
			"%[4]s has %[2]s and uses %[3]d %[1]s. How many %[1]s remain?",
			"What is %[2]s minus %[3]d %[1]s, in %[1]s?"), u.small, u.several(n), less, personName(rng)),
		name:  fmt.Sprintf("%d %s - %d", n, u.large, less),
		forms: amount(n*u.each-less, u.small, u.names...),
		steps: func(w *writer, _ *rand.Rand) {
			w.say("1 %s is %d %s.\n", u.large, u.each, u.small)
			w.say("%s\n%s\n", step('*', n, u.each), step('-', n*u.each, less))
		},
	}
}

func personName(rng *rand.Rand) string { return pick(rng, people...).name }
