package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// harmless is true while an answer holds nothing but what an answer may hold. It is evaluated in the page.
const harmless = `(() => {
	const allowed = new Set(('P BR HR H2 H3 H4 H5 H6 UL OL LI BLOCKQUOTE PRE FIGURE FIGCAPTION DIV TABLE THEAD TBODY TR TH TD A EM STRONG DEL ' +
		'CODE SPAN BUTTON SUB SUP KBD MARK U B I S SMALL').split(' '))
	const faults = typeof pwned === 'undefined' ? [] : ['a script ran']
	for (const e of document.querySelectorAll('.prose *')) {
		if (!allowed.has(e.nodeName) && !e.closest('.katex')) faults.push('element ' + e.nodeName)
		if (e.closest('.katex') && /^(SCRIPT|IMG|IFRAME|STYLE|A|LINK)$/i.test(e.nodeName)) faults.push('in a formula: ' + e.nodeName)
		for (const { name, value } of e.attributes) {
			if (/^on|^(src|srcset|srcdoc|id|name|action|formaction|poster|xlink:href)$/i.test(name)) faults.push(e.nodeName + ' ' + name)
			if (name === 'href' && !/^(https?:\/\/|mailto:)/.test(value)) faults.push('link ' + value)
			if (name === 'style' && (/url|expression/i.test(value) || !e.closest('.katex'))) faults.push('style ' + value)
		}
		if (e.nodeName === 'A' && (e.target !== '_blank' || e.rel !== 'noopener noreferrer')) faults.push('link without rel')
	}
	return faults.join('; ')
})()`

// What a model says never becomes a script, nor a request: not by an image, a style, a font, or a look-up.
func TestHostileAnswers(t *testing.T) {
	corpus, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	var hits atomic.Int32
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(attacker.Close)
	entries := strings.Split(strings.ReplaceAll(string(corpus), "ATTACKER", attacker.URL), "\n%%%\n")
	next := 0
	b := newBackend(t, func(question) answer {
		return answer{thought: entries[next], text: entries[next], piece: 40 * (next % 2)}
	})
	p := open(t, b, desktop, "")
	for i, entry := range entries {
		next = i
		p.askFast("Show " + fmt.Sprint(i))
		p.done()
		if faults := p.text(harmless); faults != "" {
			t.Errorf("%s\nin the page: %s", entry, faults)
		}
	}
	p.eval(`document.querySelectorAll('.prose *').forEach((e) => ['mouseover', 'mouseenter', 'focus'].forEach((n) => e.dispatchEvent(new Event(n))))`, nil)
	p.expect(`typeof pwned === 'undefined'`)
	p.expect(`document.querySelectorAll('.prose a').length > 3`)
	if n := hits.Load(); n > 0 {
		t.Errorf("the attacker's server was asked %d times", n)
	}
}

// askFast sends a question without the keyboard.
func (p *tab) askFast(s string) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`void (() => {
		const field = document.querySelector('textarea')
		field.value = %q
		field.dispatchEvent(new Event('input'))
		field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))
	})()`, s), nil)
}

// mockFetch has the page itself play the server, for tests that ask many thousand times: window.say is the list of chunks.
const mockFetch = `void (window.fetch = async () => new Response(new ReadableStream({ async start(c) {
	const send = (delta, end) => c.enqueue(new TextEncoder().encode('data: ' + JSON.stringify({ choices: [{ delta, finish_reason: end }] }) + '\n\n'))
	for (const s of window.say) {
		send({ content: s }, null)
		if (window.perFrame) await new Promise((go) => requestAnimationFrame(() => setTimeout(go)))
	}
	send({ content: '' }, 'stop')
	c.enqueue(new TextEncoder().encode('data: [DONE]\n\n'))
	c.close()
} })), 0)`

// askMocked asks, waits for the whole answer and resolves to the answer's HTML.
const askMocked = `window.ask = async () => {
	document.querySelector('button[aria-label="New chat"]')?.click()
	await 0
	const field = document.querySelector('textarea')
	field.value = 'x'
	field.dispatchEvent(new Event('input'))
	field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))
	const frame = () => new Promise((go) => requestAnimationFrame(go))
	do {
		await frame()
		window.eachFrame?.()
	} while (document.querySelector('.live') || !document.querySelector('.answer[aria-busy=false]'))
	return document.querySelector('.answer > .prose').cloneNode(true)
}, 0`

// plain is the structure of an answer without what comes later: colours and formulas.
const plain = `window.plain = (node) => {
	node.querySelectorAll('.math').forEach((e) => { e.textContent = e.dataset.tex; e.classList.remove('set', 'unreadable') })
	node.querySelectorAll('pre code').forEach((e) => { e.textContent = e.textContent })
	return node.innerHTML.replace(/\n/g, '¶')
}, 0`

func nasty(t *testing.T) string {
	content, err := os.ReadFile("testdata/nasty.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// An answer may end anywhere: each cut renders, and none runs anything.
func TestCutsRenderHarmlessly(t *testing.T) {
	p := open(t, newBackend(t, nil), desktop, "")
	p.eval(mockFetch, nil)
	p.eval(askMocked, nil)
	eachCut(t, p, nasty(t), harmless)
}

// eachCut shows every beginning of text; fault is JavaScript for what is wrong with what is shown.
func eachCut(t *testing.T, p *tab, text, fault string) {
	t.Helper()
	var faults []string
	p.eval(fmt.Sprintf(`(async () => {
		const text = %q, faults = []
		for (let n = 1; n <= text.length; n++) {
			window.say = [text.slice(0, n)]
			await ask()
			const fault = %s
			if (fault) faults.push(n + ': ' + fault)
		}
		return faults
	})()`, text, fault), &faults)
	for _, f := range faults {
		t.Error(f)
	}
}

// An asterisk between factors multiplies, wherever the text ends while it arrives; elsewhere it makes emphasis.
func TestProducts(t *testing.T) {
	p := open(t, newBackend(t, nil), desktop, "")
	p.eval(mockFetch, nil)
	p.eval(askMocked, nil)
	const shown = `document.querySelector('.answer > .prose')`
	eachCut(t, p, "348*7\n8*7=56, 4*7+5=33\nso (22-1)*4=84, 3*(2+5)*x, 2*-3 and a*2*b",
		shown+`?.querySelector('em') || n === text.length && `+shown+`.innerText.trim() !== text ? `+shown+`.innerHTML : ''`)
	var html string
	p.eval(`(async () => {
		window.say = ['It is *so* and **3*4** and *1* here.']
		await ask()
		return `+shown+`.innerHTML
	})()`, &html)
	for _, want := range []string{"<em>so</em>", "<strong>3*4</strong>", "<em>1</em>"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s in %s", want, html)
		}
	}
}

// However an answer is cut into chunks, the same nodes come of it; while it grows, what is shown stays shown.
func TestChunksRenderWithoutFlicker(t *testing.T) {
	p := open(t, newBackend(t, nil), desktop, "")
	for _, js := range []string{mockFetch, askMocked, plain} {
		p.eval(js, nil)
	}
	for text, sizes := range map[string]string{nasty(t): "1, 7, 61", document(t): "3, 16"} {
		var got struct {
			Whole   string
			Chunked map[string]string
			Jumps   []string
		}
		p.eval(fmt.Sprintf(`(async () => {
			const text = %q
			window.perFrame = false
			window.eachFrame = undefined
			window.say = [text]
			const whole = plain(await ask())
			const chunked = {}
			for (const [i, n] of [%s].entries()) {
				window.perFrame = true
				window.say = text.match(new RegExp('[^]{1,' + n + '}', 'g'))
				const jumps = []
				let shown = '', tall = 0
				window.eachFrame = i > 0 ? undefined : () => {
					const prose = document.querySelector('.answer > .prose')
					const letters = prose.textContent.replace(/[^a-z0-9]/gi, '')
					if (!prose.querySelector('.katex') && !letters.startsWith(shown.slice(0, -12))) jumps.push(shown.slice(-60) + ' -> ' + letters.slice(-60))
					shown = letters
				}
				chunked[n] = plain(await ask())
				if (i === 0) window.jumps = jumps
			}
			window.perFrame = false
			return { Whole: whole, Chunked: chunked, Jumps: window.jumps }
		})()`, text, sizes), &got)
		for n, html := range got.Chunked {
			if html != got.Whole {
				at := 0
				for at < min(len(html), len(got.Whole)) && html[at] == got.Whole[at] {
					at++
				}
				from := max(0, at-80)
				t.Errorf("in chunks of %s:\n  %s\nwhole:\n  %s", n, html[from:min(len(html), at+120)], got.Whole[from:min(len(got.Whole), at+120)])
			}
		}
		for _, j := range got.Jumps {
			t.Errorf("what was shown changed: %s", j)
		}
	}
}
