// Formulas. KaTeX comes when the first one does. It builds elements and sets their styles through the CSSOM, which the page's policy
// allows; the few style attributes that it writes go the same way.
import type katexType from 'katex'
import { later } from './later'

type Tree = { attributes?: Record<string, string>; children?: Tree[]; toNode(): Node }
type KaTeX = typeof katexType & { __renderToDomTree(tex: string, options: object): Tree }

let katex: KaTeX | undefined
let loading: Promise<unknown> | undefined

function load(): Promise<unknown> {
  loading ??= Promise.all([import('katex'), import('katex/dist/katex.min.css')]).then(
    ([m]) => (katex = m.default as KaTeX),
    () => (loading = undefined), // the server may be gone: the TeX stays in sight, and the next formula tries again
  )
  return loading
}

/** typeset replaces the TeX of the formulas in nodes by formulas, soon; what KaTeX can't read stays as it is. */
export function typeset(nodes: ParentNode): void {
  for (const span of nodes.querySelectorAll<HTMLElement>('.math[data-tex]')) {
    if (typesetting.has(span)) continue
    typesetting.add(span)
    if (katex) later(() => draw(span))
    else void load().then(() => katex && later(() => draw(span)))
  }
}

const typesetting = new WeakSet<HTMLElement>()

function draw(span: HTMLElement): void {
  const options = {
    displayMode: span.classList.contains('display'),
    output: 'htmlAndMathml',
    throwOnError: true,
    strict: 'ignore',
    trust: false,
    maxSize: 20,
    maxExpand: 500,
  }
  try {
    const tree = katex!.__renderToDomTree(span.dataset.tex!, options)
    renameStyle(tree)
    const node = tree.toNode() as Element
    for (const e of node.querySelectorAll<HTMLElement>('[data-style]')) e.style.cssText = e.dataset.style!
    span.replaceChildren(node)
    span.classList.add('set')
  } catch {
    span.classList.add('unreadable')
  }
}

function renameStyle({ attributes, children }: Tree): void {
  if (attributes?.style) {
    attributes['data-style'] = attributes.style
    delete attributes.style
  }
  children?.forEach(renameStyle)
}
