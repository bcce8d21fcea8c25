/**
 * reconcile makes the children of old equal those of fresh, and touches only what differs, so that a selection, a scrolled block
 * of code and a typeset formula live through the re-rendering of the block that they are in.
 */
export function reconcile(old: Node, fresh: Node): void {
  let a = old.firstChild
  let b = fresh.firstChild
  while (b) {
    const nextB = b.nextSibling
    if (!a) {
      old.appendChild(b)
    } else {
      const nextA = a.nextSibling
      if (!same(a, b)) old.replaceChild(b, a)
      a = nextA
    }
    b = nextB
  }
  while (a) {
    const next = a.nextSibling
    old.removeChild(a)
    a = next
  }
}

/** same makes a like b if that can be done in place, and tells whether it could. */
function same(a: Node, b: Node): boolean {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) return false
  if (!(a instanceof Element) || !(b instanceof Element)) {
    if (a.nodeValue !== b.nodeValue) a.nodeValue = b.nodeValue
    return true
  }
  if (b.hasAttribute('data-tex') && a.getAttribute('data-tex') === b.getAttribute('data-tex')) return true // perhaps typeset by now
  if (a.attributes.length !== b.attributes.length) return false
  for (const { name, value } of a.attributes) if (b.getAttribute(name) !== value) return false
  reconcile(a, b)
  return true
}
