import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig, type Plugin } from 'vite'

// KaTeX lists three formats of each font. Every browser that runs this page reads woff2.
const woff2Only: Plugin = {
  name: 'woff2-only',
  enforce: 'pre',
  transform(code, id) {
    if (!id.endsWith('/katex.min.css')) return
    return code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\(["'][a-z]+["']\)/g, '')
  },
}

export default defineConfig({
  // The tree strategy builds elements one by one, where the default parses HTML, for which it would need a Trusted Types policy.
  plugins: [woff2Only, svelte({ compilerOptions: { fragments: 'tree' } })],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // data: is no source that the page may load from
    modulePreload: { polyfill: false },
    rolldownOptions: { output: { codeSplitting: true } },
  },
})
