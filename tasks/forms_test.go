package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestForms: what says the same as the answer is accepted and what nearly does is refused, of every problem that is drawn.
func TestForms(t *testing.T) {
	same, near := map[string]int{}, map[string]int{}
	problems(t, func(t *testing.T, _ float64, p Problem, rng *rand.Rand) {
		if !p.graded {
			return
		}
		equal, misses := forms(p, rng)
		equal = append(equal, strings.ToUpper(p.Answer), " "+p.Answer+". ", strings.ReplaceAll(p.Answer, " ", "  "))
		for _, reply := range equal {
			if !p.Verify(reply) {
				t.Errorf("%q is refused, and the answer is %q", reply, p.Answer)
			}
		}
		for _, reply := range misses {
			if p.Verify(reply) {
				t.Errorf("%q is accepted, and the answer is %q", reply, p.Answer)
			}
		}
		same[p.Family] += len(equal)
		near[p.Family] += len(misses)
	})
	for name, n := range same {
		if n < 1000 || near[name] < 1000 {
			t.Errorf("%s: only %d equal forms and %d near misses were tried", name, n, near[name])
		}
	}
}

// forms are other ways to say a problem's answer, and ways to miss it by little.
func forms(p Problem, rng *rand.Rand) (equal, misses []string) {
	switch p := p.puzzle.(type) {
	case quotient:
		return quotientForms(p.a, p.b)
	case equation:
		return equationForms(p)
	case countdown:
		return countdownForms(p)
	case sorting:
		return sortingForms(p)
	case reversal:
		return reversalForms(p.answer())
	case island:
		return islandForms(p)
	case network:
		return networkForms(p)
	case told:
		return toldForms(p, rng)
	}
	n, err := strconv.Atoi(p.Answer)
	if err != nil {
		panic(p.Family + " has answers that no form is known of")
	}
	return numberForms(n)
}

func numberForms(n int) (equal, misses []string) {
	text := strconv.Itoa(n)
	zeros := strings.Replace("00"+text, "00-", "-00", 1)
	for _, wrong := range []int{n + 1, n - 1, n + 10, n - 10, n*10 + 1, n + 100} {
		misses = append(misses, strconv.Itoa(wrong))
	}
	if n != 0 {
		misses = append(misses, strconv.Itoa(-n), text+"0")
	}
	if turned := reversed(text); n > 0 && turned != text {
		misses = append(misses, turned)
	}
	return []string{zeros, zeros + "."}, append(misses, "="+text, text+" or so", "about "+text, text+".0", "+"+text, text+"/1", "1*"+text)
}

func reversed(s string) string {
	letters := []byte(s)
	slices.Reverse(letters)
	return string(letters)
}

func quotientForms(a, b int) (equal, misses []string) {
	q, r := a/b, a%b
	for _, form := range []string{"%d remainder %d", "%d rem %d", "%d r %d", "%dr%d", "%d R%d", "0%d r 0%d"} {
		equal = append(equal, fmt.Sprintf(form, q, r))
		misses = append(misses, fmt.Sprintf(form, q+1, r), fmt.Sprintf(form, q, r+1), fmt.Sprintf(form, q-1, r+b), fmt.Sprintf(form, q, r+b),
			fmt.Sprintf(form, q+1, r-b), fmt.Sprintf(form, q, b-r))
		if q != r {
			misses = append(misses, fmt.Sprintf(form, r, q))
		}
	}
	if 2*r == b { // b-r is r
		misses = slices.DeleteFunc(misses, func(s string) bool { return slices.Contains(equal, s) })
	}
	if r == 0 {
		return append(equal, strconv.Itoa(q)), append(misses, strconv.Itoa(q+1))
	}
	return equal, append(misses, strconv.Itoa(q), fmt.Sprintf("%d/%d", a, b), fmt.Sprintf("%d %d", q, r), fmt.Sprintf("%d+%d/%d", q, r, b))
}

func equationForms(e equation) (equal, misses []string) {
	equal, misses = numberForms(e.x)
	for _, form := range []string{"%s=%d", "%s = %d", " %s =%d"} {
		equal = append(equal, fmt.Sprintf(form, e.letter, e.x))
		misses = append(misses, fmt.Sprintf(form, e.letter, e.x+1), fmt.Sprintf(form, "z", e.x), fmt.Sprintf(form, e.letter+e.letter, e.x),
			fmt.Sprintf(form, "2"+e.letter, e.x), fmt.Sprintf(form, e.letter, e.x)+" "+e.letter)
	}
	return equal, misses
}

func countdownForms(c countdown) (equal, misses []string) {
	made := c.made.String()
	equal = []string{"(" + made + ")", mirrored(c.made), bracketedAll(c.made), fmt.Sprintf("%s = %d", made, c.target),
		strings.NewReplacer("*", " × ", "/", "÷", "+", " + ").Replace(made)}
	stranger := slices.Max(c.numbers) + 1
	misses = []string{strconv.Itoa(c.target), made + "+0", fmt.Sprintf("%s=%d", made, c.target+1), made + "=" + made, made + "-" + made,
		fmt.Sprintf("%s+%d-%d", made, stranger, stranger), "-(" + made + ")", made + ")", "(" + made, made + " or " + made, made + ", " + made}
	count := func(list []int, n int) int {
		return len(list) - len(slices.DeleteFunc(slices.Clone(list), func(x int) bool { return x == n }))
	}
	used := c.made.numbers(nil)
	for _, n := range used { // twice too often
		if count(c.numbers, n) >= count(used, n)+2 {
			continue // three of a kind
		}
		misses = append(misses, fmt.Sprintf("%s*%d/%d", made, n, n), fmt.Sprintf("%s+%d-%d", made, n, n))
	}
	for _, n := range c.numbers { // right by the rules, but not the target
		if n != c.target {
			misses = append(misses, strconv.Itoa(n))
		}
	}
	return equal, misses
}

// mirrored writes an expression with the sides of + and * exchanged, and all brackets.
func mirrored(e *expr) string {
	switch e.op {
	case 0:
		return strconv.Itoa(e.n)
	case '+', '*':
		return "(" + mirrored(e.right) + string(e.op) + mirrored(e.left) + ")"
	}
	return "(" + mirrored(e.left) + string(e.op) + mirrored(e.right) + ")"
}

func bracketedAll(e *expr) string {
	if e.op == 0 {
		return "(" + strconv.Itoa(e.n) + ")"
	}
	return "(" + bracketedAll(e.left) + " " + string(e.op) + " " + bracketedAll(e.right) + ")"
}

func sortingForms(s sorting) (equal, misses []string) {
	right := s.sorted()
	text := commas(right)
	equal = []string{strings.ReplaceAll(text, ",", ""), strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(text, ", ", " , ")}
	for i := range right {
		misses = append(misses, commas(without(right, i)), commas(slices.Insert(slices.Clone(right), i, right[i])))
		changed := slices.Clone(right)
		changed[i]++
		misses = append(misses, commas(changed))
		if i > 0 && right[i] != right[i-1] {
			swapped := slices.Clone(right)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			misses = append(misses, commas(swapped))
		}
	}
	return equal, append(misses, strings.ReplaceAll(text, ", ", "-"), strings.ReplaceAll(text, ", ", ""), strings.ReplaceAll(text, ", ", " < "))
}

func reversalForms(answer string) (equal, misses []string) {
	for i := range len(answer) {
		misses = append(misses, answer[:i]+answer[i+1:], answer[:i]+answer[i:i+1]+answer[i:])
		if i > 0 && answer[i] != answer[i-1] {
			misses = append(misses, answer[:i-1]+answer[i:i+1]+answer[i-1:i]+answer[i+1:])
		}
	}
	if word := reversed(answer); word != answer {
		misses = append(misses, word)
	}
	return []string{strings.ToUpper(answer[:1]) + answer[1:]}, append(misses, spelled(answer), answer+" "+answer, strings.Join(strings.Split(answer, ""), "-"))
}

func islandForms(k island) (equal, misses []string) {
	var kinds, short []string
	for i, knight := range k.knights {
		kinds = append(kinds, kind(i, knight))
		short = append(short, strings.Replace(kind(i, knight), " is a ", ": ", 1))
	}
	back := slices.Clone(kinds)
	slices.Reverse(back)
	equal = []string{strings.Join(back, ", "), strings.Join(kinds, " and "), strings.Join(kinds, "; "), strings.Join(short, ", "),
		strings.ReplaceAll(strings.Join(short, ", "), ":", "")}
	for i, knight := range k.knights {
		flipped := slices.Clone(kinds)
		flipped[i] = kind(i, !knight)
		twice := append(slices.Clone(kinds), kinds[i])
		both := append(slices.Clone(kinds), flipped[i])
		misses = append(misses, strings.Join(flipped, ", "), strings.Join(twice, ", "), strings.Join(both, ", "),
			strings.Join(slices.Delete(slices.Clone(kinds), i, i+1), ", "))
	}
	return equal, append(misses, strings.Join(kinds, " or "), strings.Join(kinds, " "), "not "+strings.Join(kinds, ", "))
}

// networkForms goes through every way without a place twice: the shortest are right, whichever, and no other is.
func networkForms(n network) (equal, misses []string) {
	best := 1 << 30
	lengths := map[string]int{}
	var walk func(way []int, length int)
	walk = func(way []int, length int) {
		at := way[len(way)-1]
		if at == n.places-1 {
			var names []string
			for _, i := range way {
				names = append(names, place(i))
			}
			best = min(best, length)
			lengths[strings.Join(names, "-")] = length
			return
		}
		for to := range n.places {
			if l := n.length(at, to); l > 0 && !slices.Contains(way, to) {
				walk(append(slices.Clone(way), to), length+l)
			}
		}
	}
	walk([]int{0}, 0)
	for way, length := range lengths {
		if length > best {
			misses = append(misses, way)
			continue
		}
		equal = append(equal, way, strings.ReplaceAll(way, "-", " -> "), strings.ReplaceAll(way, "-", ", "), strings.ReplaceAll(way, "-", " "))
		misses = append(misses, reversed(way), way[2:], way[:len(way)-2], way+way[len(way)-2:], strings.ReplaceAll(way, "-", ""), way+" "+way,
			fmt.Sprintf("%s %d", way, length), "A-"+way)
	}
	return equal, misses
}

// toldForms changes the number of an answer, its unit, or the name that it is.
func toldForms(p told, rng *rand.Rand) (equal, misses []string) {
	for _, form := range p.forms {
		equal = append(equal, form, form+".")
		misses = append(misses, form+" "+form, form+" or more", "not "+form, "-"+form, form+"s too", form+"²")
		if number := numbersIn(form); len(number) > 0 {
			misses = append(misses, strings.Replace(form, strconv.Itoa(number[0]), strconv.Itoa(number[0]+1), 1), form+" elephants")
		}
	}
	if slices.Contains(weekdays, p.forms[0]) {
		for _, other := range weekdays {
			if other != p.forms[0] {
				misses = append(misses, other)
			}
		}
	}
	for i, month := range months {
		if strings.HasSuffix(p.forms[0], " "+month) {
			misses = append(misses, strings.Replace(p.forms[0], month, months[(i+between(rng, 1, 11))%12], 1))
		}
	}
	// What a changed number makes may be another form of the right one: 1:59 of 01:59.
	return equal, slices.DeleteFunc(misses, func(s string) bool { return slices.Contains(p.forms, s) })
}

// TestQuestions reads each question by itself, and finds that its answer is right: by Go's own arithmetic, or by looking.
func TestQuestions(t *testing.T) {
	read := 0
	problems(t, func(t *testing.T, _ float64, p Problem, _ *rand.Rand) {
		if value, ok := asked(p); ok {
			read++
			if value != p.Answer {
				t.Errorf("%q asks for %s, and the answer is %s", p.Question, value, p.Answer)
			}
		}
	})
	if read < 4000 {
		t.Errorf("only %d questions were read", read)
	}
}

// asked is what a question asks for, worked out from its words alone.
func asked(p Problem) (value string, ok bool) {
	q, n := p.Question, numbersIn(p.Question)
	switch p.Family {
	case "add":
		switch {
		case strings.HasPrefix(q, "Take") || strings.HasPrefix(q, "Subtract"):
			return strconv.Itoa(n[1] - n[0]), true
		case strings.ContainsAny(q, "-") || strings.Contains(q, "minus"):
			return strconv.Itoa(n[0] - n[1]), true
		}
		return strconv.Itoa(n[0] + n[1]), true
	case "multiply":
		return strconv.Itoa(n[0] * n[1]), true
	case "divide":
		if strings.Contains(q, "go into") {
			n[0], n[1] = n[1], n[0]
		}
		if n[0]%n[1] == 0 {
			return strconv.Itoa(n[0] / n[1]), true
		}
		return fmt.Sprintf("%d remainder %d", n[0]/n[1], n[0]%n[1]), true
	case "brackets":
		expression := strings.TrimFunc(q, func(r rune) bool { return !strings.ContainsRune("0123456789()", r) })
		if v := evaluate(expression); v != nil {
			return v.RatString(), true
		}
	case "equation":
		return askedEquation(p)
	case "lists":
		return askedList(q, n)
	}
	return "", false
}

// askedEquation puts the answer in: both sides must come to the same.
func askedEquation(p Problem) (string, bool) {
	letter, x, _ := strings.Cut(p.Answer, " = ")
	for _, cut := range []string{"Solve for " + letter + ":", "Solve the equation", "Solve", "Find " + letter + " if", "If",
		", what is " + letter + "?", "."} {
		p.Question = strings.ReplaceAll(p.Question, cut, "")
	}
	left, right, ok := strings.Cut(strings.ReplaceAll(p.Question, " ", ""), "=")
	if !ok {
		return "", false
	}
	put := func(side string) string {
		for _, digit := range "0123456789" {
			side = strings.ReplaceAll(side, string(digit)+letter, string(digit)+"*"+letter)
		}
		return strings.ReplaceAll(side, letter, "("+x+")")
	}
	a, b := evaluate(put(left)), evaluate(put(right))
	if a == nil || b == nil {
		return "", false
	}
	if a.Cmp(b) != 0 {
		return a.RatString() + " against " + b.RatString(), true
	}
	return p.Answer, true
}

func askedList(q string, n []int) (string, bool) {
	words := strings.Fields(strings.Trim(q, ".?"))
	last := words[len(words)-1]
	switch {
	case len(n) > 1:
		slices.Sort(n)
		if strings.Contains(q, "falling") || strings.Contains(q, "large to small") || strings.Contains(q, "largest to the smallest") {
			slices.Reverse(n)
		}
		return commas(n), true
	case strings.HasPrefix(q, "Reverse"):
		return reversed(last), true
	case strings.HasPrefix(q, "Write"):
		return reversed(words[1]), true
	case strings.Contains(q, "How many letters does"):
		return strconv.Itoa(len(words[6])), true
	case strings.Contains(q, "How often does"):
		return strconv.Itoa(strings.Count(words[3], last)), true
	}
	return "", false
}
