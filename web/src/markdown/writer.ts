// An answer is drawn while it arrives. Blocks that are finished are frozen: rendered once, never touched again. Only the last block
// is rendered with every write, so that a write costs the same at an answer's end as at its beginning. Two kinds of block grow long
// and are frozen in parts: code goes into the page line by line, and of a list the items that another one follows are frozen.
import type { Token, Tokens } from 'marked'
import { CodeBlock } from './code'
import { heal } from './heal'
import { lex, render, sanitize } from './parse'
import { reconcile } from './reconcile'
import { typeset } from './math'
import { highlightIn } from './highlight'

/** A block longer than this is frozen as it stands, so that no text makes a write slow. */
const maxLive = 16 << 10

interface OpenList {
  element: Element
  kind: string
  next: number // the number of the item after those that are frozen
}

/** Writer draws one growing text into an element, the same nodes however the text was cut into writes. */
export class Writer {
  private readonly live = document.createElement('div') // the last block; has no box of its own
  private tail = '' // the text not yet frozen
  private tokens: Token[] = [] // of tail
  private list: OpenList | undefined
  private code: CodeBlock | undefined

  constructor(private readonly root: HTMLElement) {
    this.live.className = 'live'
    root.append(this.live)
  }

  /** write adds text and shows it. */
  write(text: string): void {
    this.tail += text.replaceAll('\r', '')
    while (this.settle());
    this.showLive()
  }

  /** end freezes what is left, as it stands. */
  end(): void {
    while (this.settle());
    if (this.code) this.closeCode(this.code.end(this.tail))
    if (this.tail) this.freeze(lex(this.tail, false), this.tail.length)
    this.live.remove()
  }

  /** settle freezes what no later text can change, and tells whether there may be more of it. */
  private settle(): boolean {
    if (this.code) {
      const { rest, closed } = this.code.feed(this.tail)
      this.tail = rest
      if (closed) this.closeCode(rest)
      return closed
    }
    const tokens = (this.tokens = lex(this.tail, false))
    const last = tokens.findLastIndex((t) => t.type !== 'space')
    if (last < 0) return false
    const length = rawLength(tokens.slice(0, last))
    if (rawLength(tokens) !== this.tail.length) return this.freezeIfLong()
    if (length > 0) {
      if (!isSure(tokens[last]!)) return false
      this.freeze(tokens.slice(0, last), length)
      return true
    }
    return this.openCode(tokens[last]!) || this.freezeItems(tokens[last]!) || this.freezeIfLong()
  }

  private freezeIfLong(): boolean {
    if (this.tail.length <= maxLive) return false
    this.freeze(lex(this.tail, false), this.tail.length)
    return false
  }

  /** freeze renders tokens for good and takes length characters off the tail. */
  private freeze(tokens: Token[], length: number): void {
    const nodes = render(this.numbered(tokens))
    enhance(nodes)
    const first = nodes.firstElementChild
    if (this.list && first && listKind(tokens[0]) === this.list.kind) {
      this.list.element.append(...first.childNodes)
      first.remove()
    }
    if (tokens.length > 0) this.closeList()
    this.root.insertBefore(nodes, this.live)
    this.tail = this.tail.slice(length)
  }

  /** freezeItems freezes the items of a list that another follows. */
  private freezeItems(token: Token): boolean {
    const kind = listKind(token)
    if (kind === undefined) return false
    const { items, start } = token as Tokens.List
    const done = items.slice(0, -1)
    if (!done.length || !isSure(items.at(-1)!)) return false
    const nodes = render(this.numbered([{ ...token, items: done } as Token]))
    enhance(nodes)
    const element = nodes.firstElementChild!
    if (this.list?.kind === kind) {
      this.list.element.append(...element.childNodes)
      this.list.next += done.length
    } else {
      this.closeList()
      element.classList.add('open')
      this.root.insertBefore(element, this.live)
      this.list = { element, kind, next: (start || 1) + done.length }
    }
    this.tail = this.tail.slice(rawLength(done))
    return true
  }

  /** numbered lets a list that goes on with an open one count on from there. */
  private numbered(tokens: Token[]): Token[] {
    const [first, ...others] = tokens
    if (!this.list || !first || listKind(first) !== this.list.kind || !(first as Tokens.List).ordered) return tokens
    return [{ ...first, start: this.list.next } as Token, ...others]
  }

  private closeList(): void {
    this.list?.element.classList.remove('open')
    if (this.list?.element.className === '') this.list.element.removeAttribute('class')
    this.list = undefined
  }

  /** openCode starts a fenced block whose first line is complete. */
  private openCode(token: Token): boolean {
    const fence = token.type === 'code' ? this.tail.match(/^(`{3,}|~{3,})[^\n]*\n/) : null
    if (!fence) return false
    this.closeList()
    this.tail = this.tail.slice(fence[0].length)
    this.code = new CodeBlock(fence[1]!, (token as Tokens.Code).lang ?? '', (html) => {
      const nodes = sanitize(html)
      const figure = nodes.firstElementChild!
      this.root.insertBefore(nodes, this.live)
      return figure
    })
    return true
  }

  private closeCode(rest: string): void {
    this.code = undefined
    this.tail = rest
  }

  private showLive(): void {
    if (this.code || !this.tail.trim()) return this.live.replaceChildren()
    const text = endsInCode(this.tokens) ? this.tail : heal(this.tail)
    const nodes = render(this.numbered(lex(text, true)))
    reconcile(this.live, nodes)
    typeset(this.live)
  }
}

const rawLength = (tokens: { raw: string }[]) => tokens.reduce((n, t) => n + t.raw.length, 0)

/** isSure tells whether a block has enough text to be known for what it is: "2" may be a word or, soon, an item of a list. */
const isSure = (token: { raw: string }) => token.raw.length > 16 || token.raw.includes('\n')

/** listKind is what items have in common that belong to one list; nothing for other tokens. */
function listKind(token: Token | undefined): string | undefined {
  if (token?.type !== 'list') return
  return token.raw.match(/^ {0,3}(?:\d+([.)])|([*+-]))/)?.slice(1).join('')
}

function endsInCode(tokens: Token[]): boolean {
  const last = tokens.findLast((t) => t.type !== 'space') as (Token & { tokens?: Token[]; items?: Token[] }) | undefined
  if (!last) return false
  const inner = last.items ?? (last.type === 'list_item' || last.type === 'blockquote' ? last.tokens : undefined)
  return inner ? endsInCode(inner) : last.type === 'code'
}

/** enhance has formulas typeset and code coloured. */
function enhance(nodes: DocumentFragment): void {
  typeset(nodes)
  highlightIn(nodes)
}
