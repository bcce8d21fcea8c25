package sample

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// end is where the text ends, by looking at all of it: at the first stop text to be complete, of those the longest.
func end(text string, stops []string) (before, stop string) {
	for n := range len(text) + 1 {
		for _, s := range stops {
			if strings.HasSuffix(text[:n], s) && len(s) > len(stop) {
				stop = s
			}
		}
		if stop != "" {
			return text[:n-len(stop)], stop
		}
	}
	return text, ""
}

// split runs a text through Ends in pieces, and checks that each is given out as soon as it can be.
func split(t *testing.T, stops []string, pieces []string) (text, stop string) {
	t.Helper()
	e, err := NewEnds(nil, stops)
	if err != nil {
		t.Fatal(err)
	}
	came := ""
	for _, p := range pieces {
		came += p
		out, s := e.Text(p)
		text += out
		if stop = s; stop != "" {
			if again, s := e.Text("more"); again != "" || s != stop {
				t.Errorf("after %q: %q, %q", stop, again, s)
			}
			continue
		}
		held := 0 // the longest end of the text that begins a stop
		for n := range len(came) + 1 {
			if slices.ContainsFunc(stops, func(s string) bool { return strings.HasPrefix(s, came[len(came)-n:]) }) {
				held = n
			}
		}
		if len(text) != len(came)-held {
			t.Errorf("stops %q: %q of %q is out, with %d bytes to hold back", stops, text, came, held)
		}
	}
	return text + e.Flush(), stop
}

func TestEnds(t *testing.T) {
	for _, c := range []struct {
		stops      []string
		text       string
		want, stop string
	}{
		{nil, "abc", "abc", ""},
		{[]string{"c"}, "abcd", "ab", "c"},
		{[]string{"abc"}, "ababcd", "ab", "abc"},
		{[]string{"aab"}, "aaab", "a", "aab"},
		{[]string{"abab", "b"}, "abab", "a", "b"},            // complete first
		{[]string{"b", "ab"}, "xaby", "x", "ab"},             // complete together: the longest
		{[]string{"abcd", "bce"}, "abce", "a", "bce"},        //
		{[]string{"abcd"}, "abc", "abc", ""},                 // never complete
		{[]string{"\n\nQ:"}, "a\n\n\nQ: b", "a\n", "\n\nQ:"}, //
		{[]string{"</s>", "<|end|>"}, "a <|en </s>", "a <|en ", "</s>"},
		{[]string{"é", "日本"}, "日 caf日本é", "日 caf", "日本"},
	} {
		for range 20 {
			text, stop := split(t, c.stops, pieces(c.text, rand.IntN))
			if text != c.want || stop != c.stop {
				t.Errorf("%q in %q: %q, %q, want %q, %q", c.stops, c.text, text, stop, c.want, c.stop)
			}
		}
	}
}

// pieces cuts a text at random between characters.
func pieces(text string, intN func(int) int) (all []string) {
	for text != "" {
		n := 1 + intN(4)
		runes := []rune(text)
		n = min(n, len(runes))
		all = append(all, string(runes[:n]))
		text = string(runes[n:])
	}
	return all
}

func TestEndsInPiecesIsEndsInAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 11))
	word := func(most int) string {
		alphabet, s := []string{"a", "b", "ab", "é", "è", "日"}, "" // é and è share a byte
		for range 1 + rng.IntN(most) {
			s += alphabet[rng.IntN(len(alphabet))]
		}
		return s
	}
	found := 0
	for range 20000 {
		stops := make([]string, 1+rng.IntN(5))
		for i := range stops {
			stops[i] = word(5)
		}
		text := word(20)
		wantText, wantStop := end(text, stops)
		gotText, gotStop := split(t, stops, pieces(text, rng.IntN))
		if gotText != wantText || gotStop != wantStop {
			t.Fatalf("%q in %q: %q, %q, want %q, %q", stops, text, gotText, gotStop, wantText, wantStop)
		}
		if gotStop != "" {
			found++
		}
	}
	if found < 5000 || found > 19000 {
		t.Errorf("%d of 20000 texts had a stop", found)
	}
}

func TestEndsMistakes(t *testing.T) {
	for want, texts := range map[string][]string{
		"a stop text is empty": {"a", ""},
		"17 stop texts":        slices.Repeat([]string{"a"}, 17),
		"has 1025 bytes":       {strings.Repeat("a", 1025)},
		`"\xff" is not UTF-8`:  {"\xff"},
		"want at most 1024":    {strings.Repeat("é", 600)},
	} {
		if _, err := NewEnds(nil, texts); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want one line with %q", err, want)
		}
	}
	e, err := NewEnds([]int32{3, 4}, []string{strings.Repeat("é", 512)})
	if err != nil {
		t.Fatal(err)
	}
	if !e.ID(3) || !e.ID(4) || e.ID(5) {
		t.Error("the tokens 3 and 4 end the text, and no other")
	}
}

// FuzzEnds: a text in any pieces ends where it ends as a whole.
func FuzzEnds(f *testing.F) {
	f.Add("abab|b", "xabaab", uint64(1))
	f.Add("\n\n|</s>|é", "line\n</s", uint64(2))
	f.Fuzz(func(t *testing.T, stops, text string, seed uint64) {
		list := strings.Split(stops, "|")
		if _, err := NewEnds(nil, list); err != nil || len(text)+len(stops) > 200 {
			return
		}
		text = strings.ToValidUTF8(text, "\ufffd")
		wantText, wantStop := end(text, list)
		gotText, gotStop := split(t, list, pieces(text, rand.New(rand.NewPCG(seed, 0)).IntN))
		if gotText != wantText || gotStop != wantStop {
			t.Errorf("%q in %q: %q, %q, want %q, %q", list, text, gotText, gotStop, wantText, wantStop)
		}
	})
}
