// The server's routes, as this page uses them.

export interface Model {
  id: string
  chat: boolean // answers questions; else it continues texts
  thinks: boolean
  toggles: boolean // thinking may be switched off
  context: number // tokens; 0 while unknown
  parameters: number
  note: string // what it is and can't do, in one plain sentence
  suggestions: string[]
}

export interface Usage {
  prompt_tokens: number
  completion_tokens: number
  prompt_cache_hit_tokens?: number
}

export interface Delta {
  content?: string | null
  reasoning_content?: string | null
}

export interface Chunk {
  choices: { delta: Delta; finish_reason: string | null }[]
  usage?: Usage | null
  error?: { message: string; code?: string | null }
}

export interface Message {
  role: 'user' | 'assistant'
  content: string
}

/** Failure is an answer that did not come, and why. */
export class Failure extends Error {
  constructor(
    readonly kind: 'gone' | 'busy' | 'full' | 'cut' | 'refused',
    message: string,
    readonly retryAfter = 0, // seconds
  ) {
    super(message)
  }
}

let token = ''

/** openSession exchanges the link's #key for this page's token. A key already spent is no misfortune: chatting needs none. */
export async function openSession(): Promise<void> {
  const key = new URLSearchParams(location.hash.slice(1)).get('key')
  if (!key) return
  history.replaceState(null, '', location.pathname)
  const response = await post('/session', { key }).catch(() => undefined)
  if (response?.ok) token = ((await response.json()) as { token: string }).token
}

function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' }
  if (token) headers.Authorization = `Bearer ${token}`
  return fetch(path, { method: 'POST', headers, body: JSON.stringify(body), ...(signal && { signal }) })
}

/** listModels asks for the models; the first is the default. */
export async function listModels(): Promise<Model[]> {
  const response = await fetch('/v1/models').catch(gone)
  if (!response.ok) throw await failure(response)
  const { data } = (await response.json()) as { data: { id: string; sprat?: Partial<Model> }[] }
  return data.map(({ id, sprat = {} }) => ({
    id,
    chat: sprat.chat ?? true,
    thinks: sprat.thinks ?? false,
    toggles: sprat.toggles ?? false,
    context: sprat.context ?? 0,
    parameters: sprat.parameters ?? 0,
    note: sprat.note ?? '',
    suggestions: sprat.suggestions ?? [],
  }))
}

/** complete streams an answer, chunk by chunk. It throws a Failure, or what fetch throws when signal aborts it. */
export async function* complete(model: string, messages: Message[], thinking: boolean | undefined, signal: AbortSignal) {
  const body = {
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(thinking !== undefined && { thinking: { type: thinking ? 'enabled' : 'disabled' } }),
  }
  const response = await post('/v1/chat/completions', body, signal).catch((e: unknown) => gone(e, signal))
  if (!response.ok || !response.body) throw await failure(response)
  for await (const data of events(response.body, signal)) {
    if (data === '[DONE]') return
    const chunk = JSON.parse(data) as Chunk
    if (chunk.error) throw new Failure(isFull(chunk.error) ? 'full' : 'refused', chunk.error.message)
    yield chunk
  }
  throw new Failure('cut', 'The connection to sprat was cut, so this answer may not be whole.')
}

function gone(e: unknown, signal?: AbortSignal): never {
  if (signal?.aborted) throw e
  throw new Failure('gone', 'sprat does not answer. Is it still running in the terminal?')
}

const isFull = (e: { message: string; code?: string | null }) =>
  e.code === 'context_length_exceeded' || /context (length|window)|too long/i.test(e.message)

async function failure(response: Response): Promise<Failure> {
  const body = (await response.json().catch(() => ({}))) as { error?: { message: string; code?: string | null } }
  const error = body.error ?? { message: `The server answered with status ${response.status}.` }
  const busy = response.status === 429 || response.status === 503
  const kind = busy ? 'busy' : response.status === 413 || isFull(error) ? 'full' : 'refused'
  return new Failure(kind, error.message, Number(response.headers.get('Retry-After')) || 0)
}

/** events are the data lines of a stream of server-sent events. */
async function* events(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((e: unknown) => {
        if (signal.aborted) throw e
        return { done: true, value: undefined }
      })
      if (done) return
      text += decoder.decode(value, { stream: true })
      const lines = text.split('\n')
      text = lines.pop()!
      for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim()
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}
