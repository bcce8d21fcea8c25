// After the build: the licences of what is bundled, a Brotli and a gzip form beside each file that gains by it, and a hash of what the
// files were built from.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const files = (dir) =>
  readdirSync(dir, { recursive: true })
    .map((name) => join(dir, name).replaceAll('\\', '/'))
    .filter((path) => statSync(path).isFile())

const bundled = ['svelte', 'marked', 'dompurify', 'katex', 'highlight.js']
const licence = (name) => readFileSync(join('node_modules', name, readdirSync(join('node_modules', name)).find((f) => /^licen[cs]e/i.test(f))), 'utf8')
writeFileSync('dist/licences.txt', bundled.map((name) => `${name}\n${'-'.repeat(name.length)}\n${licence(name)}\n`).join('\n'))

for (const path of files('dist')) {
  if (path.endsWith('.woff2')) continue // compressed already
  const bytes = readFileSync(path)
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }))
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }))
}

// web_test.go computes the same: names and contents, in the order of the names.
const sources = [...files('src'), ...files('public'), 'index.html', 'package-lock.json', 'vite.config.ts', 'svelte.config.js', 'compress.mjs'].sort()
const hash = createHash('sha256')
for (const path of sources) hash.update(`${path}\0`).update(readFileSync(path)).update('\0')
writeFileSync('sources.sha256', `${hash.digest('hex')}\n`)
