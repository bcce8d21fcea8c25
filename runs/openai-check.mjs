// A chat by OpenAI's own JavaScript client: streams an answer from sprat and checks its form.
// Needs Node 20 or newer and a running server (sprat serve --no-browser):
//
//   npm install --prefix out/openai --ignore-scripts openai@6.30.1
//   cp runs/openai-check.mjs out/openai/ && node out/openai/openai-check.mjs [http://127.0.0.1:8080/v1]
import assert from 'node:assert/strict'
import OpenAI from 'openai'

const client = new OpenAI({ baseURL: process.argv[2] ?? 'http://127.0.0.1:8080/v1', apiKey: 'none needed', maxRetries: 0 })

const models = (await client.models.list()).data
assert.ok(models.length > 0 && models.every((m) => m.object === 'model' && m.id), 'a list of models')
const model = models[0].id
const messages = [{ role: 'user', content: 'What is 348 times 27?' }]

const stream = await client.chat.completions.create({ model, messages, max_tokens: 400, stream: true, stream_options: { include_usage: true } })
let text = ''
let finish = null
let usage
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? ''
  finish = chunk.choices[0]?.finish_reason ?? finish
  usage = chunk.usage ?? usage
}
assert.ok(text.length > 0 && ['stop', 'length'].includes(finish), 'an answer and its end')
assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
console.log(`${model}: ${messages[0].content} ${text}\n${JSON.stringify(usage)}`)

const whole = await client.chat.completions.create({ model, messages, max_tokens: 400 })
assert.ok(whole.choices[0].message.content.length > 0, 'an answer in one piece')

const long = await client.chat.completions.create({ model, messages, stream: true })
for await (const chunk of long) if (chunk.choices[0]?.delta.content) break // closes the connection
await assert.rejects(client.chat.completions.create({ model: 'no such model', messages }), (e) => e instanceof OpenAI.APIError && e.status >= 400)
console.log('openai client: 4 passed, 0 failed')
