import { codeFigure } from './parse'
import { colour, maxColoured } from './highlight'

/** CodeBlock is a fenced block being written. Its text goes into the page as it comes; colours follow, as often as they are cheap. */
export class CodeBlock {
  private readonly closing: RegExp
  private readonly maybeClosing: RegExp
  private readonly code: HTMLElement
  private text = ''
  private lines = 0 // lines begun
  private midLine = false // part of the last line is shown
  private colourAt = 0 // when colours may be renewed

  constructor(fence: string, lang: string, place: (html: string) => Element) {
    const mark = fence[0]!
    this.closing = new RegExp(`^ {0,3}${fence}[~\`]* *$`)
    this.maybeClosing = new RegExp(`^ {0,3}${mark}*[~\`]* *$`)
    this.code = place(codeFigure(lang, '')).querySelector('code')!
  }

  /** feed takes what it can of tail: the rest is kept by the caller, and follows the block once it is closed. */
  feed(tail: string): { rest: string; closed: boolean } {
    const before = this.text.length
    let at = 0
    let closed = false
    for (let end = tail.indexOf('\n'); end >= 0 && !closed; end = tail.indexOf('\n', at)) {
      closed = this.line(tail.slice(at, end))
      at = end + 1
    }
    if (!closed && at < tail.length && (this.midLine || !this.maybeClosing.test(tail.slice(at)))) {
      this.put(tail.slice(at))
      this.midLine = true
      at = tail.length
    }
    this.show(before, closed)
    return { rest: tail.slice(at), closed }
  }

  /** end closes the block at the end of the text, of which rest has not been shown. */
  end(rest: string): string {
    const before = this.text.length
    if (rest && !this.closing.test(rest)) this.put(rest)
    this.show(before, true)
    return ''
  }

  /** line takes a whole line, or what is left of it, and tells whether it closes the block. */
  private line(line: string): boolean {
    if (!this.midLine && this.closing.test(line)) return true
    this.put(line)
    this.midLine = false
    return false
  }

  private put(s: string): void {
    if (!this.midLine && this.lines++ > 0) this.text += '\n'
    this.text += s
  }

  /** show adds the text after position before, and renews the colours if it is time. */
  private show(before: number, closed: boolean): void {
    if (this.text.length > before) this.code.append(this.text.slice(before))
    if (this.text.length > maxColoured || (!closed && performance.now() < this.colourAt)) return
    const started = performance.now()
    colour(this.code, this.text)
    const now = performance.now()
    this.colourAt = now + Math.max(150, 15 * (now - started))
  }
}
