import { Writer } from './markdown/writer'

const mostPerFrame = 4 << 10 // characters: a text that waited, as in a hidden tab, is drawn over several frames

/** Flow is a text that grows, and what draws it. */
export class Flow {
  text = ''
  ended = false
  private wake: (() => void) | undefined

  add(s: string): void {
    this.text += s
    this.wake?.()
  }

  end(): void {
    this.ended = true
    this.wake?.()
  }

  /** drawInto draws the text into root, a little in each frame. It returns what stops that. */
  drawInto(root: HTMLElement): () => void {
    const writer = new Writer(root)
    let at = 0
    let frame = 0
    let notBefore = 0
    const draw = () => {
      frame = 0
      const started = performance.now()
      if (started < notBefore) return wake()
      const end = Math.min(this.text.length, at + mostPerFrame)
      if (end > at) writer.write(this.text.slice(at, end))
      at = end
      const done = this.ended && at === this.text.length
      if (done) writer.end()
      if (done) this.wake = undefined
      else if (at < this.text.length || this.ended) wake()
      // A frame that took long is followed by a longer pause: drawing never takes more than a third of the time.
      const now = performance.now()
      notBefore = now + 2 * (now - started)
    }
    const wake = () => void (frame ||= requestAnimationFrame(draw))
    this.wake = wake
    wake()
    return () => {
      cancelAnimationFrame(frame)
      this.wake = undefined
    }
  }
}
