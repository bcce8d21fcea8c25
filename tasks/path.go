package tasks

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A road joins two places, which are named A, B, C and so on.
type road struct{ from, to, length int }

// A network asks for a shortest way from its first place to its last.
type network struct {
	places int
	roads  []road // from is before to
}

func drawNetwork(rng *rand.Rand, difficulty float64) puzzle {
	n := network{places: min(dial(rng, difficulty, 4, 6), 9)}
	longest := dial(rng, difficulty, 5, 9)
	for b := 1; b < n.places; b++ { // each place has a road to one before it
		n.roads = append(n.roads, road{rng.IntN(b), b, between(rng, 1, longest)})
	}
	for len(n.roads) < n.places+n.places/2-1 {
		a, b := rng.IntN(n.places), rng.IntN(n.places)
		if a < b && n.length(a, b) == 0 && b-a < n.places-1 {
			n.roads = append(n.roads, road{a, b, between(rng, 1, longest)})
		}
	}
	slices.SortFunc(n.roads, byEnds)
	return n
}

// length is that of the road between two places, or 0.
func (n network) length(a, b int) int {
	for _, r := range n.roads {
		if r.from == a && r.to == b || r.from == b && r.to == a {
			return r.length
		}
	}
	return 0
}

func place(i int) string { return string(rune('A' + i)) }

// String lists the roads.
func (n network) String() string {
	var names []string
	for _, r := range n.roads {
		names = append(names, fmt.Sprintf("%s-%s %d", place(r.from), place(r.to), r.length))
	}
	return strings.Join(names, ", ")
}

func byEnds(a, b road) int { return cmp.Or(a.from-b.from, a.to-b.to, a.length-b.length) }

// key does not depend on the names of the places between the first and the last: of all ways to give them out it takes the first in
// order. A large network is named as it is, as another that differs in names alone will hardly be drawn.
func (n network) key() string {
	if n.places > 6 {
		return n.String()
	}
	first := n.roads
	for names := range orders(n.places - 2) {
		renamed := slices.Clone(n.roads)
		for i, r := range renamed {
			for _, end := range []*int{&r.from, &r.to} {
				if *end > 0 && *end < n.places-1 {
					*end = 1 + names[*end-1]
				}
			}
			renamed[i] = road{min(r.from, r.to), max(r.from, r.to), r.length}
		}
		slices.SortFunc(renamed, byEnds)
		if slices.CompareFunc(renamed, first, byEnds) < 0 {
			first = renamed
		}
	}
	return network{n.places, first}.String()
}

func (n network) ask(rng *rand.Rand) string {
	return fmt.Sprintf(pick(rng, "Roads: %s. What is the shortest way from A to %s?",
		"Find the shortest path from A to %[2]s. Edges: %[1]s.",
		"The roads and their lengths are %s. How do you get from A to %s by the shortest way?"), n, place(n.places-1))
}

func (n network) answer() string {
	way, _ := n.shortest(func(int, int, []string) {})
	var places []string
	for _, i := range way {
		places = append(places, place(i))
	}
	return strings.Join(places, "-")
}

// shortest returns the shortest way and its length. It calls settled for each place whose distance is certain, the nearest first,
// with what the roads from there come to.
func (n network) shortest(settled func(at, distance int, roads []string)) ([]int, int) {
	const far = 1 << 30
	distance, from, done := make([]int, n.places), make([]int, n.places), make([]bool, n.places)
	for i := range distance[1:] {
		distance[i+1] = far
	}
	for {
		at := -1
		for i := range n.places {
			if !done[i] && (at < 0 || distance[i] < distance[at]) {
				at = i
			}
		}
		done[at] = true
		if at == n.places-1 {
			settled(at, distance[at], nil)
			break
		}
		var roads []string
		for to := range n.places {
			length := n.length(at, to)
			if length == 0 || done[to] {
				continue
			}
			text := fmt.Sprintf("%s %d+%d=%d", place(to), distance[at], length, distance[at]+length)
			if distance[at]+length >= distance[to] {
				text += " no"
			} else {
				distance[to], from[to] = distance[at]+length, at
			}
			roads = append(roads, text)
		}
		settled(at, distance[at], roads)
	}
	way := []int{n.places - 1}
	for way[0] != 0 {
		way = slices.Insert(way, 0, from[way[0]])
	}
	return way, distance[n.places-1]
}

// verify wants the places of a way, with hyphens, arrows, commas or spaces between them. Any shortest way will do.
func (n network) verify(reply string) bool {
	names := strings.Fields(reply)
	if plain := strings.NewReplacer("->", "-", "→", "-", ",", "-", " ", "").Replace(reply); strings.Contains(plain, "-") {
		names = strings.Split(plain, "-")
	}
	total, at := 0, 0
	for i, name := range names {
		if len(name) != 1 {
			return false
		}
		to := int(name[0]) - 'a'
		if to < 0 || to >= n.places || i == 0 && to != 0 {
			return false
		}
		if i > 0 {
			length := n.length(at, to)
			if length == 0 {
				return false
			}
			total += length
		}
		at = to
	}
	_, shortest := n.shortest(func(int, int, []string) {})
	return at == n.places-1 && total == shortest
}

// solve is Dijkstra's way: the nearest place is certain, and its roads may shorten what is known of others.
func (n network) solve(w *writer, _ *rand.Rand) {
	way, length := n.shortest(func(at, distance int, roads []string) {
		w.say("%s is at %d", place(at), distance)
		if len(roads) > 0 {
			w.say(": %s", strings.Join(roads, ", "))
		}
		w.say("\n")
	})
	var back []string
	for i := len(way) - 1; i > 0; i-- {
		back = append(back, fmt.Sprintf("%s from %s", place(way[i]), place(way[i-1])))
	}
	w.say("%s\nlength %d\n", strings.Join(back, ", "), length)
}
