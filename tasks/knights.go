package tasks

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A claim is what somebody says of two people, or of one twice.
type claim struct {
	form string // see holds
	x, y int
}

// The forms of a claim, with how they are said.
const (
	isKnight  = "%[1]s is a knight"
	isKnave   = "%[1]s is a knave"
	sameKind  = "%[1]s and %[2]s are the same"
	different = "%[1]s and %[2]s are different"
	oneKnave  = "%[1]s or %[2]s is a knave"
	bothKnave = "%[1]s and %[2]s are knaves"
)

func (c claim) String() string { return fmt.Sprintf(c.form, islander(c.x), islander(c.y)) }

func islander(i int) string { return string(rune('A' + i)) }

// holds reports whether the claim holds where knight says who is one.
func (c claim) holds(knight []bool) bool {
	x, y := knight[c.x], knight[c.y]
	switch c.form {
	case isKnight:
		return x
	case isKnave:
		return !x
	case sameKind:
		return x == y
	case different:
		return x != y
	case oneKnave:
		return !x || !y
	}
	return !x && !y
}

// An island is the puzzle of knights, who tell the truth, and knaves, who lie: claims[i] is said by i, and knights is the one way
// that they all fit.
type island struct {
	claims  []claim
	knights []bool
}

func drawIsland(rng *rand.Rand, difficulty float64) puzzle {
	n := min(dial(rng, difficulty, 2, 4), 5)
	for {
		k := island{claims: make([]claim, n)}
		for i := range k.claims {
			x := rng.IntN(n)
			y := (x + between(rng, 1, n-1)) % n
			form := pick(rng, isKnight, isKnave, isKnave, sameKind, different, oneKnave, bothKnave)
			if form == isKnight || form == isKnave {
				for x == i {
					x = rng.IntN(n)
				}
				y = x
			}
			k.claims[i] = claim{form, min(x, y), max(x, y)}
		}
		if k.solutions() != 1 {
			continue
		}
		honest, liar := k.suppose(true), k.suppose(false)
		if fits := honest.fits; honest.decided && liar.decided && fits != liar.fits {
			if k.knights = liar.knight; fits {
				k.knights = honest.knight
			}
			return k
		}
	}
}

// solutions counts the ways that everybody's claim fits their kind.
func (k island) solutions() int {
	count, knight := 0, make([]bool, len(k.claims))
	for bits := range 1 << len(k.claims) {
		fits := true
		for i := range knight {
			knight[i] = bits>>i&1 > 0
		}
		for i, c := range k.claims {
			fits = fits && c.holds(knight) == knight[i]
		}
		if fits {
			count++
		}
	}
	return count
}

// A supposition is what follows from A being a knight, or a knave.
type supposition struct {
	lines         []string
	knight        []bool
	decided, fits bool // decided: it came to a contradiction, or else to everybody's kind
}

func (k island) suppose(honest bool) supposition {
	n := len(k.claims)
	s := supposition{knight: make([]bool, n)}
	known, heard := make([]bool, n), make([]bool, n)
	s.knight[0], known[0] = honest, true
	for progress := true; progress; {
		progress = false
		for i, c := range k.claims {
			if !known[i] || heard[i] {
				continue
			}
			ways := k.ways(c, s.knight, known, s.knight[i])
			if len(ways) > 1 {
				continue
			}
			heard[i], progress = true, true
			line := fmt.Sprintf("%s says %s: %s, ", islander(i), c, map[bool]string{true: "true", false: "a lie"}[s.knight[i]])
			if len(ways) == 0 {
				s.lines = append(s.lines, line+"cannot be. ")
				s.decided = true
				return s
			}
			var found []string
			for _, j := range []int{c.x, c.y} {
				if !known[j] {
					s.knight[j], known[j] = ways[0][j], true
					found = append(found, "so "+kind(j, s.knight[j]))
				}
			}
			if len(found) == 0 {
				found = []string{"fits"}
			}
			s.lines = append(s.lines, line+strings.Join(found, ", ")+". ")
		}
	}
	s.fits = !slices.Contains(known, false)
	s.decided = s.fits
	return s
}

// ways lists how those whom a claim speaks of can be, if it is true or not as told says, and the known are as knight says.
func (k island) ways(c claim, knight, known []bool, told bool) [][]bool {
	var list [][]bool
	for bits := range 4 {
		way := slices.Clone(knight)
		way[c.x], way[c.y] = bits&1 > 0, bits&2 > 0
		if c.x == c.y && bits&1 != bits>>1 || known[c.x] && way[c.x] != knight[c.x] || known[c.y] && way[c.y] != knight[c.y] {
			continue
		}
		if c.holds(way) == told {
			list = append(list, way)
		}
	}
	return list
}

func kind(i int, knight bool) string {
	return islander(i) + " is a " + map[bool]string{true: "knight", false: "knave"}[knight]
}

func (k island) ask(rng *rand.Rand) string {
	var said []string
	for i, c := range k.claims {
		said = append(said, fmt.Sprintf("%s says: %s.", islander(i), c))
	}
	return pick(rng, "Knights tell the truth and knaves lie. ", "A knight never lies, a knave always lies. ",
		"Each is a knight, who is honest, or a knave, who lies. ") +
		strings.Join(said, " ") + pick(rng, " Who is what?", " Who is a knight and who is a knave?", " What is each of them?")
}

func byForm(a, b claim) int { return cmp.Or(strings.Compare(a.form, b.form), a.x-b.x, a.y-b.y) }

// key does not depend on which name somebody has: of all ways to give out the names it takes the first in order.
func (k island) key() string {
	first := k.claims
	for names := range orders(len(k.claims)) {
		renamed := make([]claim, len(k.claims))
		for i, c := range k.claims {
			x, y := names[c.x], names[c.y]
			renamed[names[i]] = claim{c.form, min(x, y), max(x, y)}
		}
		if slices.CompareFunc(renamed, first, byForm) < 0 {
			first = renamed
		}
	}
	var said []string
	for _, c := range first {
		said = append(said, c.String())
	}
	return strings.Join(said, "; ")
}

func (k island) answer() string {
	var kinds []string
	for i, knight := range k.knights {
		kinds = append(kinds, kind(i, knight))
	}
	return strings.Join(kinds, ", ")
}

// verify wants everybody's kind, each once: "a is a knight, b is a knave", or "a: knight" or "a knight".
func (k island) verify(reply string) bool {
	clauses := strings.Split(strings.NewReplacer(", and ", ",", " and ", ",", ";", ",").Replace(reply), ",")
	for i, knight := range k.knights {
		want := strings.Fields(strings.Map(lower, kind(i, knight)))
		j := slices.IndexFunc(clauses, func(clause string) bool {
			fields := strings.Fields(strings.Replace(clause, ":", " ", 1))
			return slices.Equal(fields, want) || slices.Equal(fields, []string{want[0], want[3]})
		})
		if j < 0 {
			return false
		}
		clauses = slices.Delete(clauses, j, j+1)
	}
	return len(clauses) == 0
}

// solve supposes that A is a knight, and if that cannot be, that A is a knave.
func (k island) solve(w *writer, _ *rand.Rand) {
	for _, honest := range []bool{true, false} {
		s := k.suppose(honest)
		text := "Say " + kind(0, honest) + ". " + strings.Join(s.lines, "")
		if s.fits {
			w.say("%s\n", strings.TrimSpace(text))
			return
		}
		w.deadEnd("%s", text)
		w.say("No.\n")
	}
}
