// The line being written, shown as it will most likely be: what may yet become markup is held back, and markup that is open is
// closed. Only the last line is looked at, as models hardly ever let emphasis run over a line's end.

const maybeMarker = /^[ \t]*(?:[-=*+#>`~|:_ \t]+|\d{1,9}[.)]?|[-*+] ?\[[ xX]?\]?)$/
const maybeTable = /(?:^|\n)[ \t]*\|[^\n]*(?:\n[ \t|:-]*)?$/
const hasDelimiterRow = /\n[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\n/

// An asterisk between numbers, names and brackets multiplies; CommonMark has it open emphasis even there.
const product = /(?<=[\d)])\*(?=[\w(-])|(?<=\w)\*(?=[\d(])/g

/** isProduct tells whether src, which stands after prev, begins with such an asterisk. */
export const isProduct = (src: string, prev: string) => (prev + src.slice(0, 2)).search(product) === 1

/** heal returns text as it should look while it is still being written. */
export function heal(text: string): string {
  if (maybeTable.test(text) && !hasDelimiterRow.test(text)) text = text.replace(maybeTable, '')
  const at = text.lastIndexOf('\n') + 1
  let line = text.slice(at)
  if (maybeMarker.test(line)) return text.slice(0, at)
  line = closeCode(line) ?? closeEmphasis(openLink(line.replace(/(?:[*_~]+|!|\\|<[^\s<>]{0,12})$/, '')))
  return text.slice(0, at) + line
}

/** closeCode returns the line with a backtick added if one is open, and nothing if none is. */
function closeCode(line: string): string | undefined {
  let open = ''
  for (const [run] of line.matchAll(/`+/g)) open = open === '' ? run : run === open ? '' : open
  if (open === '') return
  return line.endsWith(open) ? line.slice(0, -open.length) : line + open
}

/** openLink shows a link whose address has not wholly arrived as its text. */
function openLink(line: string): string {
  return line.replace(/!?\[([^\[\]]*)(?:\](?:\([^()\s]*(?:\s[^()]*)?)?)?$/, '$1')
}

/** closeEmphasis closes *, ** and ~~ in the order they were opened. */
function closeEmphasis(line: string): string {
  const text = line.replace(/`+[^`]*`+|\\./g, (s) => ' '.repeat(s.length)).replace(product, ' ').replace(/^\s*[*+-] /, '  ')
  const open: string[] = []
  for (const m of text.matchAll(/\*\*|\*|~~|(?<!\w)__?(?=\w)|(?<=\w)__?(?!\w)/g)) {
    const mark = m[0]
    const after = text[m.index + mark.length] ?? ' '
    if (open.at(-1) === mark) open.pop()
    else if (!/\s/.test(after)) open.push(mark)
  }
  if (!open.length) return line
  return line.trimEnd() + open.reverse().join('')
}
