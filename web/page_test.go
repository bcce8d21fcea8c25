package web

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// document is an answer with all that the page can show.
func document(t *testing.T) string {
	content, err := os.ReadFile("testdata/answer.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestWelcome(t *testing.T) {
	eachSize(t, func(t *testing.T, s size) {
		b := newBackend(t, func(question) answer { return answer{text: "It is 391."} })
		p := open(t, b, s, "#key=secret")
		p.until(`document.querySelectorAll('.suggestions li').length === 4`)
		p.expect(`document.querySelector('.note').textContent.includes('arithmetic')`)
		p.until(`location.hash === ''`)
		p.expect(`document.documentElement.scrollWidth <= innerWidth`)
		for _, scheme := range []string{"light", "dark"} {
			p.colours(scheme)
			p.shot("welcome-" + s.name + "-" + scheme)
		}
		p.click(".suggestions button")
		p.done()
		p.expect(`document.querySelector('.question').innerText.includes('17 × 23')`)
		p.expect(`document.querySelector('.answer').innerText.includes('391.')`)
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.sessions) != 1 || b.sessions[0] != "secret" {
			t.Errorf("the key was exchanged as %q", b.sessions)
		}
	})
}

func TestThinkingThenAnswer(t *testing.T) {
	eachSize(t, func(t *testing.T, s size) {
		b := newBackend(t, func(question) answer {
			thought := "I take 17 × 20 = 340 first, then 17 × 3 = 51.\n\nTogether that is 340 + 51 = 391. " + strings.Repeat("Let me check it once more. ", 30)
			return answer{thought: thought, text: document(t), piece: 12, pause: 8 * time.Millisecond}
		})
		p := open(t, b, s, "")
		p.ask("What is 17 × 23?")
		p.until(`document.querySelector('.thought [aria-expanded=true]') && document.querySelector('.thought .prose').innerText.length > 300`)
		p.shot("thinking-" + s.name + "-light")
		p.until(`document.querySelectorAll('.answer > .prose > *').length > 3`)
		p.expect(`document.querySelector('.thought [aria-expanded=false]')`)
		p.expect(`/^Thought for \d+ s|less than a second/.test(document.querySelector('.thought button').innerText.trim())`)
		p.expect(`document.querySelector('button[aria-label=Stop]')`)
		p.done()
		p.expect(`document.documentElement.scrollWidth <= innerWidth`)
		p.expect(`document.querySelectorAll('.katex').length >= 4`)
		p.expect(`document.querySelectorAll('figure.code').length === 2`)
		p.until(`document.querySelector('figure.code .hl-keyword')`)
		p.expect(`document.querySelectorAll('.prose table td').length === 9`)
		p.shotThrough("answer-" + s.name)
		p.click(".thought button")
		p.until(`document.querySelector('.thought [aria-expanded=true]')`)
		if q := b.asked[0]; q.Thinking == nil || q.Thinking.Type != "enabled" {
			t.Errorf("thinking was asked for as %v", q.Thinking)
		}
	})
}

// shotThrough takes pictures of the whole page, a window at a time, in both colours.
func (p *tab) shotThrough(name string) {
	for _, scheme := range []string{"light", "dark"} {
		p.colours(scheme)
		for i, y := range []string{"0", "700", "1400", "1e6"} {
			p.eval("scrollTo(0, "+y+")", nil)
			p.shot(name + "-" + scheme + "-" + string(rune('a'+i)))
		}
	}
	p.colours("light")
}

func TestKeyboard(t *testing.T) {
	b := newBackend(t, func(q question) answer { return answer{text: "Two lines?", hang: q.last() == "wait"} })
	p := open(t, b, desktop, "")
	p.until(`document.activeElement.tagName === 'TEXTAREA'`)
	p.run(chromedp.SendKeys(field, "one"))
	p.enter(chromedp.ModifierShift)
	p.run(chromedp.SendKeys(field, "two"))
	p.expect(`document.querySelector('textarea').value === 'one\ntwo'`)
	p.enter(0)
	p.done()
	p.expect(`document.querySelector('textarea').value === ''`)
	p.expect(`document.activeElement.tagName === 'TEXTAREA'`)
	if got := b.asked[0].last(); got != "one\ntwo" {
		t.Errorf("asked %q", got)
	}
	p.press(kb.ArrowUp)
	p.until(`document.querySelector('textarea').value === 'one\ntwo' && !document.querySelector('.turn')`)
	p.eval(`void (() => { const f = document.querySelector('textarea'); f.value = ''; f.dispatchEvent(new Event('input')) })()`, nil)
	p.ask("wait")
	p.until(`document.querySelector('.answer')?.innerText.includes('Two lines?')`)
	p.press(kb.Escape)
	p.until(`document.querySelector('.notice')?.textContent.includes('Stopped')`)
	p.expect(`document.activeElement.tagName === 'TEXTAREA'`)
	p.expect(`document.querySelector('[role=status]').textContent === 'Stopped.'`)
}

func TestStopRegenerateEdit(t *testing.T) {
	eachSize(t, func(t *testing.T, s size) {
		b := newBackend(t, nil)
		b.say = func(question) answer {
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.asked) == 1 {
				return answer{text: strings.Repeat("and on ", 5000), piece: 7, pause: 5 * time.Millisecond}
			}
			return answer{text: "Brief."}
		}
		p := open(t, b, s, "")
		p.ask("Go on")
		p.until(`document.querySelector('.answer .prose').innerText.length > 50`)
		p.click("button[aria-label=Stop]")
		p.until(`document.querySelector('.answer[aria-busy=false]')`)
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			b.mu.Lock()
			stopped := b.stopped
			b.mu.Unlock()
			if stopped == 1 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the server never heard that the page had stopped")
			}
		}
		p.click("button[aria-label='Answer again']")
		p.until(`document.querySelector('.answer').innerText.includes('Brief.')`)
		p.expect(`document.querySelectorAll('.turn').length === 1`)
		p.click("button[aria-label='Edit this message']")
		p.until(`document.querySelector('textarea').value === 'Go on' && !document.querySelector('.turn')`)
		p.ask(" please")
		p.done()
		p.ask("And then?")
		p.until(`document.querySelectorAll('.turn').length === 2 && !document.querySelector('.live')`)
		q := b.asked[3]
		if len(q.Messages) != 3 || q.Messages[0].Content != "Go on please" || q.Messages[1].Content != "Brief." || q.Messages[1].Role != "assistant" {
			t.Errorf("the history sent is %+v", q.Messages)
		}
		p.click("button[aria-label='New chat']")
		p.until(`document.querySelector('.suggestions') && !document.querySelector('.turn')`)
	})
}

func TestFiguresOnRequest(t *testing.T) {
	b := newBackend(t, func(question) answer {
		return answer{text: strings.Repeat("word ", 40), piece: 5, pause: 4 * time.Millisecond}
	})
	p := open(t, b, phone, "")
	p.ask("Say words")
	p.done()
	p.expect(`!document.querySelector('.details')`)
	p.click("button[aria-label='Speed and cache']")
	p.until(`document.querySelector('.details')`)
	if got := p.text(`document.querySelector('.details').innerText`); !strings.Contains(got, "50 tokens") || !strings.Contains(got, "tokens/s") ||
		!strings.Contains(got, "64 of 96 prompt tokens from the cache") {
		t.Errorf("details: %s", got)
	}
}

func TestCopyCode(t *testing.T) {
	b := newBackend(t, func(question) answer { return answer{text: "Here:\n\n```go\nfmt.Println(1 < 2)\n```\n"} })
	p := open(t, b, desktop, "")
	p.eval(`void (navigator.clipboard.writeText = async (s) => { window.copied = s })`, nil)
	p.ask("Code")
	p.done()
	p.click("button.copy")
	p.until(`window.copied === 'fmt.Println(1 < 2)' && document.querySelector('button.copy').textContent === 'Copied'`)
}

func TestModelsAndThinking(t *testing.T) {
	b := newBackend(t, func(question) answer { return answer{text: "yes"} })
	p := open(t, b, phone, "")
	p.until(`document.querySelector('.think[aria-pressed=true]')`)
	p.click(".think")
	p.ask("a")
	p.done()
	p.eval(`void (() => { const s = document.querySelector('select'); s.value = 'nano'; s.dispatchEvent(new Event('change', {bubbles: true})) })()`, nil)
	p.until(`!document.querySelector('.think')`)
	p.expect(`document.querySelector('textarea').placeholder === 'Begin a text'`)
	p.expect(`document.querySelector('.caveat').textContent.includes('continues stories')`)
	p.ask("b")
	p.until(`document.querySelectorAll('.turn').length === 2`)
	p.done()
	if q := b.asked[0]; q.Model != "small" || q.Thinking == nil || q.Thinking.Type != "disabled" {
		t.Errorf("first question: %+v", q)
	}
	if q := b.asked[1]; q.Model != "nano" || q.Thinking != nil {
		t.Errorf("second question: %+v", q)
	}
}

func TestTheme(t *testing.T) {
	b := newBackend(t, nil)
	p := open(t, b, desktop, "")
	p.colours("dark")
	background := `getComputedStyle(document.documentElement).backgroundColor`
	dark := p.text(background)
	p.colours("light")
	light := p.text(background)
	if dark == light {
		t.Errorf("light and dark are both %s", dark)
	}
	p.click("header button:last-child")
	p.until(background + " === '" + dark + "'")
	p.run(chromedp.Reload())
	p.until(`document.querySelector('.suggestions')`)
	p.expect(background + " === '" + dark + "'")
	p.eval(`localStorage.clear()`, nil)
}

func TestTroubles(t *testing.T) {
	for _, c := range []struct {
		name string
		say  answer
		want string
	}{
		{"busy", answer{status: 429, message: "too many"}, "busy"},
		{"overloaded", answer{status: 503, message: "loading"}, "in 7 s"},
		{"full", answer{status: 400, message: "the conversation is longer than the context length of 512"}, "longer than the model can read"},
		{"refused", answer{status: 422, message: "temperature must be between 0 and 2"}, "temperature must be"},
		{"empty", answer{text: ""}, "without a word"},
		{"limit", answer{text: "And so", finish: "length"}, "limit of length"},
		{"cut", answer{text: "And so", cut: true}, "was cut"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBackend(t, func(question) answer { return c.say })
			p := open(t, b, phone, "")
			p.ask("Hello")
			p.until(`document.querySelector('.notice')`)
			if got := p.text(`document.querySelector('.notice').innerText`); !strings.Contains(got, c.want) {
				t.Errorf("the page says %q", got)
			}
			p.shot("trouble-" + c.name)
		})
	}
	t.Run("gone", func(t *testing.T) {
		b := newBackend(t, nil)
		p := open(t, b, phone, "")
		b.CloseClientConnections()
		b.Listener.Close()
		p.ask("Hello")
		p.until(`document.querySelector('.notice')?.innerText.includes('Is it still running')`)
		p.expect(`document.querySelector('.notice button')`)
		p.shot("trouble-gone")
	})
}
