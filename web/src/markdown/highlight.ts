// Colours for code. highlight.js comes when the first block of code does; its result is a tree, which becomes nodes without HTML.
import type { HLJSApi } from 'highlight.js'
import { later } from './later'

/** A block longer than this stays plain. */
export const maxColoured = 24 << 10

type Tree = { scope?: string; children: (Tree | string)[] }

let hljs: HLJSApi | undefined
let loading: Promise<unknown> | undefined

function load(): Promise<unknown> {
  loading ??= import('highlight.js/lib/common').then(
    (m) => (hljs = m.default),
    () => (loading = undefined), // the server may be gone: code stays plain, and the next block tries again
  )
  return loading
}

/** highlightIn colours all blocks of code in nodes, soon. */
export function highlightIn(nodes: ParentNode): void {
  for (const code of nodes.querySelectorAll<HTMLElement>('pre[data-lang] > code')) {
    const text = code.textContent
    if (text.length <= maxColoured) later(() => colour(code, text))
  }
}

/** colour replaces code's text by its coloured form, now if highlight.js is there and else once it is. */
export function colour(code: HTMLElement, text: string): void {
  const language = code.parentElement?.dataset.lang
  if (!language || !text) return
  if (!hljs) {
    void load().then(() => {
      if (hljs && code.textContent === text) colour(code, text)
    })
    return
  }
  if (!hljs.getLanguage(language)) return
  const result = hljs.highlight(text, { language, ignoreIllegals: true }) as unknown as { _emitter: { rootNode: Tree } }
  code.replaceChildren(...build(result._emitter.rootNode))
}

function build(tree: Tree): Node[] {
  return tree.children.map((child) => {
    if (typeof child === 'string') return document.createTextNode(child)
    const inner = build(child)
    const name = child.scope?.startsWith('language:') ? undefined : child.scope?.split('.')[0]
    const span = document.createElement('span')
    if (name) span.className = `hl-${name}`
    span.append(...inner)
    return span
  })
}
