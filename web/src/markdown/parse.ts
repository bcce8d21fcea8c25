// Markdown as models write it, to a DOM fragment that holds nothing but what is listed here.
//
// Everything that depends on text far away is left out on purpose, so that a document may be rendered piece by piece while it
// arrives: link definitions, underlined headings, and lists that become loose by a blank line between later items. HTML is shown
// as the text it is, a few elements without attributes apart. An image is a link: showing it would fetch it.
import DOMPurify from 'dompurify'
import { Marked, Parser, type MarkedExtension, type Token, type Tokens } from 'marked'
import { isProduct } from './heal'

/** MathToken is a formula; it is pending while its end has not arrived. */
export interface MathToken extends Tokens.Generic {
  type: 'math'
  tex: string
  display: boolean
  pending: boolean
}

// What an unfinished text may hold is known only by whoever lexes it; marked's tokenizers take no argument of ours.
let unfinished = false

const delimiters: [open: string, close: string, display: boolean][] = [
  ['$$', '$$', true],
  ['\\[', '\\]', true],
  ['\\(', '\\)', false],
  ['$', '$', false],
]

/** formula reads a formula at the start of src. A single $ opens one only where TeX would be meant, not in "$5 and $6". */
function formula(src: string): MathToken | undefined {
  const found = delimiters.find(([open]) => src.startsWith(open))
  if (!found) return
  const [open, close, display] = found
  let end = src.indexOf(close, open.length)
  while (end > 0 && src[end - 1] === '\\' && close.startsWith('$')) end = src.indexOf(close, end + 1)
  if (end < 0 || hasBlankLine(src.slice(0, end))) {
    if (!unfinished || !looksLikeMath(src, open) || hasBlankLine(src)) return
    return { type: 'math', raw: src, tex: src.slice(open.length), display, pending: true }
  }
  const tex = src.slice(open.length, end)
  if (!tex.trim()) return
  if (open === '$' && (/^\s|\s$|\n/.test(tex) || /^\d/.test(src.slice(end + 1, end + 2)))) return
  return { type: 'math', raw: src.slice(0, end + close.length), tex: tex.trim(), display, pending: false }
}

const hasBlankLine = (s: string) => /\n[ \t]*\n/.test(s)

function looksLikeMath(src: string, open: string): boolean {
  return open !== '$' || (/^\$[\\({a-zA-Z|]/.test(src) && !src.includes('\n') && src.length < 200)
}

const simpleTag = /^<(?:\/?(?:sub|sup|kbd|mark|u|b|i|s|em|strong|small)|br ?\/?)>/i

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escape = (s: string) => s.replace(/[&<>"']/g, (c) => escapes[c]!)

const safeLink = /^(?:https?:\/\/|mailto:)/i

function link(href: string, body: string): string {
  return safeLink.test(href) ? `<a href="${escape(href)}">${body}</a>` : body
}

/** codeFigure is a block of code with its name and a button, which Answer's click handler serves. */
export function codeFigure(lang: string, text: string): string {
  const name = escape(lang.split(/\s/)[0]!.slice(0, 24))
  return (
    `<figure class="code"><figcaption><span>${name || 'text'}</span><button type="button" class="copy">Copy</button></figcaption>` +
    `<pre data-lang="${name.toLowerCase()}"><code>${escape(text)}</code></pre></figure>`
  )
}

const rules: MarkedExtension = {
  gfm: true,
  breaks: true,
  extensions: [
    {
      name: 'math',
      level: 'block',
      start: (src) => src.match(/(?<=\n) {0,3}(?:\$\$|\\\[)/)?.index,
      tokenizer(src) {
        const indent = src.match(/^ {0,3}(?=\$\$|\\\[)/)?.[0].length ?? -1
        const token = indent >= 0 ? formula(src.slice(indent)) : undefined
        if (!token) return
        const rest = src.slice(indent + token.raw.length).match(/^[ \t]*(?:\n+|$)/)
        return rest ? { ...token, raw: src.slice(0, indent + token.raw.length + rest[0].length), block: true } : undefined
      },
    },
    {
      name: 'math',
      level: 'inline',
      start: (src) => src.match(/\$|\\[[(]/)?.index,
      tokenizer: (src) => formula(src),
      renderer(token) {
        const { tex, display, pending, block } = token as MathToken
        const kind = `math${display ? ' display' : ''}${pending ? ' pending' : ''}`
        const span = `<span class="${kind}"${pending ? '' : ` data-tex="${escape(tex)}"`}>${escape(tex)}</span>`
        return block ? `<p>${span}</p>` : span
      },
    },
  ],
  tokenizer: {
    def: () => undefined,
    lheading: () => undefined,
    html: () => undefined,
    emStrong: (src, _, prev = '') => (isProduct(src, prev) ? undefined : false),
    tag(src) {
      const raw = src.match(simpleTag)?.[0]
      return raw ? { type: 'html', raw, text: raw, block: false, inLink: false, inRawBlock: false } : undefined
    },
  },
  renderer: {
    code: ({ text, lang }) => codeFigure(lang ?? '', text.replace(/\n$/, '')),
    heading({ tokens, depth }) {
      const level = Math.min(depth + 1, 6) // the page's own title is the first level
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`
    },
    link({ href, tokens }) {
      return link(href, this.parser.parseInline(tokens))
    },
    image: ({ href, text }) => link(href, `${escape(text || 'image')} (image)`),
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    list({ ordered, start, items }) {
      const number = ordered && start !== 1 ? ` start="${start}"` : ''
      const body = items.map((item) => this.listitem(item)).join('')
      return ordered ? `<ol${number}>${body}</ol>` : `<ul>${body}</ul>`
    },
    listitem(item) {
      const isText = (t: Token) => t.type === 'text' || t.type === 'paragraph'
      const paragraphs = item.tokens.filter(isText).length > 1
      const body = item.tokens.map((t) => {
        if (!isText(t)) return this.parser.parse([t])
        const inline = this.parser.parseInline((t as Tokens.Text).tokens ?? [])
        return paragraphs ? `<p>${inline}</p>` : inline
      })
      return `<li>${body.join('')}</li>`
    },
    table(token) {
      const row = (cells: Tokens.TableCell[], tag: string) =>
        `<tr>${cells.map((c) => `<${tag}${c.align ? ` align="${c.align}"` : ''}>${this.parser.parseInline(c.tokens)}</${tag}>`).join('')}</tr>`
      const body = token.rows.map((r) => row(r, 'td')).join('')
      return `<div class="table"><table><thead>${row(token.header, 'th')}</thead><tbody>${body}</tbody></table></div>`
    },
  },
}

const marked = new Marked(rules)

/** lex splits Markdown into blocks; of unfinished text it takes what follows an opened formula as belonging to it. */
export function lex(text: string, isUnfinished: boolean): Token[] {
  unfinished = isUnfinished
  try {
    return marked.lexer(text)
  } finally {
    unfinished = false
  }
}

const tags = [
  ...['p', 'br', 'hr', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'figure', 'figcaption', 'div'],
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td', 'a', 'em', 'strong', 'del', 'code', 'span', 'button', '#text'],
  ...['sub', 'sup', 'kbd', 'mark', 'u', 'b', 'i', 's', 'small'],
]
const plainAttributes = ['target', 'rel', 'class', 'type', 'start', 'align', 'data-tex', 'data-lang'] // they hold no address

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return
  node.setAttribute('target', '_blank')
  node.setAttribute('rel', 'noopener noreferrer')
})

/** sanitize is the only way from a string to nodes in this page. */
export function sanitize(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: tags,
    ALLOWED_ATTR: ['href', ...plainAttributes],
    ADD_URI_SAFE_ATTR: plainAttributes,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: safeLink,
    RETURN_DOM_FRAGMENT: true,
  })
}

/** render makes nodes out of blocks. */
export function render(tokens: Token[]): DocumentFragment {
  return sanitize(new Parser(marked.defaults).parse(tokens))
}
