import { complete, Failure, listModels, type Message, type Model, type Usage } from './api'
import { Flow } from './flow'

export type Status = 'waiting' | 'thinking' | 'answering' | 'done' | 'stopped' | 'failed'

/** Answer is one reply of a model, from the request on. */
export class Answer {
  readonly thought = new Flow()
  readonly text = new Flow()
  status = $state<Status>('waiting')
  thoughtFor = $state(0) // seconds, counting while it thinks
  hasThought = $state(false)
  cutShort = $state(false) // the model reached its limit
  failure = $state.raw<Failure>()
  usage = $state.raw<Usage>()
  firstAfter = $state(0) // seconds until the first token
  tokensPerSecond = $state(0)

  get running(): boolean {
    return this.status === 'waiting' || this.status === 'thinking' || this.status === 'answering'
  }

  get empty(): boolean {
    return this.status === 'done' && this.text.text.trim() === ''
  }
}

export interface Turn {
  id: number
  question: string
  model: string
  answer: Answer
}

/** Chat is the conversation on the page and all that happens to it. */
export class Chat {
  models = $state.raw<Model[]>([])
  modelID = $state('')
  think = $state(true)
  turns = $state<Turn[]>([])
  problem = $state.raw<Failure>() // the models could not be listed
  private abort: AbortController | undefined
  private lastID = 0

  model = $derived(this.models.find((m) => m.id === this.modelID))
  running = $derived(this.turns.at(-1)?.answer.running ?? false)

  async loadModels(): Promise<void> {
    try {
      this.models = await listModels()
      this.problem = undefined
      if (!this.model) this.modelID = this.models[0]?.id ?? ''
    } catch (e) {
      this.problem = e as Failure
    }
  }

  ask(question: string): void {
    if (this.running || !question.trim() || !this.model) return
    this.turns.push({ id: ++this.lastID, question, model: this.modelID, answer: new Answer() })
    void this.answerLast()
  }

  /** again has the last question answered anew. */
  again(): void {
    const turn = this.turns.at(-1)
    if (this.running || !turn) return
    this.turns[this.turns.length - 1] = { ...turn, id: ++this.lastID, model: this.modelID, answer: new Answer() }
    void this.answerLast()
  }

  /** takeBack removes a question and all after it, and returns its text. */
  takeBack(id: number): string {
    const at = this.turns.findIndex((t) => t.id === id)
    if (this.running || at < 0) return ''
    return this.turns.splice(at)[0]!.question
  }

  stop(): void {
    this.abort?.abort()
  }

  clear(): void {
    this.stop()
    this.turns = []
  }

  private messages(): Message[] {
    const said = this.turns.slice(0, -1).filter(({ answer }) => answer.text.text !== '')
    return [
      ...said.flatMap(({ question, answer }): Message[] => [
        { role: 'user', content: question },
        { role: 'assistant', content: answer.text.text },
      ]),
      { role: 'user', content: this.turns.at(-1)!.question },
    ]
  }

  private async answerLast(): Promise<void> {
    const answer = this.turns.at(-1)!.answer
    const abort = (this.abort = new AbortController())
    const thinking = this.model?.thinks ? this.think || !this.model.toggles : undefined
    try {
      await receive(answer, complete(this.modelID, this.messages(), thinking, abort.signal))
      answer.status = 'done'
    } catch (e) {
      if (!abort.signal.aborted) answer.failure = e instanceof Failure ? e : new Failure('refused', String(e))
      answer.status = abort.signal.aborted ? 'stopped' : 'failed'
    }
    answer.thought.end()
    answer.text.end()
    if (this.models.some((m) => m.id === this.modelID && !m.context)) void this.loadModels()
  }
}

/** receive takes an answer from its chunks. */
async function receive(answer: Answer, chunks: ReturnType<typeof complete>): Promise<void> {
  const started = performance.now()
  const seconds = (since: number) => (performance.now() - since) / 1000
  let first = 0
  let last = 0
  let thinkingSince = 0
  const ticker = setInterval(() => {
    if (answer.status === 'thinking') answer.thoughtFor = seconds(thinkingSince)
  }, 250)
  try {
    for await (const { choices, usage } of chunks) {
      if (usage) answer.usage = usage
      const choice = choices[0]
      if (!choice) continue
      const { reasoning_content: thought, content } = choice.delta
      if (thought || content) {
        last = performance.now()
        if (!first) answer.firstAfter = seconds(started)
        first ||= last
      }
      if (thought) {
        thinkingSince ||= performance.now()
        answer.hasThought = true
        answer.status = 'thinking'
        answer.thought.add(thought)
      }
      if (content) {
        if (answer.status === 'thinking') {
          answer.thoughtFor = seconds(thinkingSince)
          answer.thought.end()
        }
        answer.status = 'answering'
        answer.text.add(content)
      }
      if (choice.finish_reason === 'length') answer.cutShort = true
    }
  } finally {
    clearInterval(ticker)
    const tokens = (answer.usage?.completion_tokens ?? 0) - 1 // the first one's time is the prompt's
    // What comes in a few milliseconds says how the browser reads, not how the model writes.
    if (tokens > 0 && last - first > 50) answer.tokensPerSecond = (tokens * 1000) / (last - first)
  }
}
