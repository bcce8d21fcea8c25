package tasks

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

var (
	weekdays = strings.Fields("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
	months   = strings.Fields("January February March April May June July August September October November December")
)

// monthLength is of a year that is not a leap year; month counts from 0.
func monthLength(month int) int { return []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month] }

func drawDate(rng *rand.Rand, difficulty float64) puzzle {
	return pick(rng, drawWeekday, drawLater, drawUntil)(rng, difficulty)
}

// drawWeekday asks for the day of the week so many days later.
func drawWeekday(rng *rand.Rand, difficulty float64) puzzle {
	start, n := rng.IntN(7), between(rng, 2, dial(rng, difficulty, 9, 99))
	end, names := (start+n)%7, weekdays
	return told{
		question: fmt.Sprintf(pick(rng, "Today is %s. What day is it in %d days?", "What day of the week is %[2]d days after %[1]s?",
			"If it is %s now, which day is it %d days later?"), names[start], n),
		name:  fmt.Sprintf("%s + %d", names[start], n),
		forms: []string{names[end]},
		steps: func(w *writer, _ *rand.Rand) {
			if n >= 7 {
				w.say("%s, %s, so %d days after %s.\n", step('*', n/7, 7), step('-', n, n/7*7), n%7, names[start])
			}
			for i := 1; i <= n%7; i++ {
				w.say("%d %s, ", i, names[(start+i)%7])
			}
			w.say("so %s\n", names[end])
		},
	}
}

func date(day, month int) string { return fmt.Sprintf("%d %s", day, months[month]) }

// drawLater asks for the date so many days after another, not in a leap year.
func drawLater(rng *rand.Rand, difficulty float64) puzzle {
	month, n := rng.IntN(12), between(rng, 2, dial(rng, difficulty, 9, 60))
	start := between(rng, 1, monthLength(month))
	day, end := start+n, month
	for day > monthLength(end) {
		day -= monthLength(end)
		end = (end + 1) % 12
	}
	name := strings.Map(lower, months[end])
	return told{
		question: fmt.Sprintf(pick(rng, "What date is %d days after %s?", "Which date is %d days later than %s?",
			"It is %[2]s. What is the date in %[1]d days?"),
			n, date(start, month)) + notLeap(month, end),
		name:  fmt.Sprintf("%s + %d", date(start, month), n),
		forms: []string{date(day, end), fmt.Sprintf("%s %d", name, day)},
		steps: func(w *writer, _ *rand.Rand) {
			day, at := start+n, month
			w.say("%s %s\n", months[at], step('+', start, n))
			for day > monthLength(at) {
				w.say("%s has %d: %s, ", months[at], monthLength(at), step('-', day, monthLength(at)))
				day -= monthLength(at)
				at = (at + 1) % 12
				w.say("%s %d\n", months[at], day)
			}
		},
	}
}

// notLeap says so of the year if that matters.
func notLeap(from, to int) string {
	if from <= 1 && to >= 1 || from > to && to >= 1 {
		return " It is not a leap year."
	}
	return ""
}

// drawUntil asks how many days there are between two dates of one year, which is not a leap year.
func drawUntil(rng *rand.Rand, difficulty float64) puzzle {
	apart := min(between(rng, 0, dial(rng, difficulty, 1, 2)), 5)
	month := rng.IntN(12 - apart)
	end := month + apart
	from, to := between(rng, 1, monthLength(month)), between(rng, 1, monthLength(end))
	if apart == 0 {
		from, to = between(rng, 1, 14), between(rng, 15, 28)
	}
	total := to - from
	for m := month; m < end; m++ {
		total += monthLength(m)
	}
	return told{
		question: fmt.Sprintf(pick(rng, "How many days are there from %s to %s?", "It is %s. How many days are left until %s?",
			"How many days after %s is %s?"), date(from, month), date(to, end)) + notLeap(month, end),
		name:  date(from, month) + " to " + date(to, end),
		forms: amount(total, "days", "day"),
		steps: func(w *writer, _ *rand.Rand) {
			if apart == 0 {
				w.say("%s\n", step('-', to, from))
				return
			}
			days := monthLength(month) - from
			w.say("%s has %d: %s\n", months[month], monthLength(month), step('-', monthLength(month), from))
			for m := month + 1; m < end; m++ {
				w.say("%s has %d: %s\n", months[m], monthLength(m), step('+', days, monthLength(m)))
				days += monthLength(m)
			}
			w.say("%s: %s\n", months[end], step('+', days, to))
		},
	}
}
