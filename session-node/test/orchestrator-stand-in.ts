/**
 * The orchestrator's side of the contract, in memory, for one session. It exists beside the real one because the
 * tests here have to fail things at exact commits: kill a node after a commit was applied and before it was answered,
 * answer late, be away. It keeps the contract's semantics (generation, sequence, all or nothing) and nothing else.
 */
import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type AttachResult,
  attachRequest,
  type CommitRequest,
  commitRequest,
  type InboxEntry,
  keysRequest,
  MAX_COMMIT_BYTES,
  type NodeEvent,
} from '../contract/index.ts'

export const TOKEN = 'token-of-the-tests'
export const SESSION = 'session-under-test'

export type EventOf<T extends NodeEvent['type']> = Extract<NodeEvent, { type: T }>

type Answer = (status: number, value: unknown) => unknown

export class OrchestratorStandIn {
  generation = 0
  creds: string | null = null
  me: AttachResult['me'] = null
  readonly keys = new Map<string, string>()
  readonly inbox = new Map<string, { entry: InboxEntry; settled: boolean }>()
  readonly events: NodeEvent[] = []
  readonly commits: CommitRequest[] = []
  readonly raws = new Map<string, string>()
  readonly acked = new Set<string>()
  keyRequests = 0
  /** commits sent again although they had been applied */
  repeated = 0

  settings: AttachResult['settings'] = { mark_online: true, max_pending_bytes: 32 * 1024 * 1024 }
  latencyMs = 0
  /** connections are cut instead of answered */
  away = false
  /** runs when a commit has been applied, before its answer; what it returns is awaited */
  onApplied: (commit: CommitRequest) => unknown = () => undefined
  /** refuses commits with this status */
  refuseWith: number | undefined

  readonly #changes = new EventEmitter().setMaxListeners(0)
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #lastSeq = 0

  static async start(): Promise<OrchestratorStandIn> {
    const standIn = new OrchestratorStandIn()
    standIn.#server.listen(0, '127.0.0.1')
    await once(standIn.#server, 'listening')
    return standIn
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  eventsOf<T extends NodeEvent['type']>(type: T): EventOf<T>[] {
    return this.events.filter((event): event is EventOf<T> => event.type === type)
  }

  /** resolves with the first truthy value that the predicate gives, looked at after each commit */
  async until<T>(predicate: () => T | undefined | false, what: string, timeoutMs = 15_000): Promise<T> {
    const signal = AbortSignal.timeout(timeoutMs)
    for (;;) {
      const value = predicate()
      if (value) return value
      try {
        await once(this.#changes, 'applied', { signal })
      } catch (cause) {
        const tail = this.events.slice(-8).map((event) => JSON.stringify(event).slice(0, 200))
        throw new Error(`${what} did not happen in ${timeoutMs} ms. Last events:\n${tail.join('\n')}`, {
          cause,
        })
      }
    }
  }

  /** as if a node had died after it stored plaintexts and before it reported their messages */
  forgetMessages(): void {
    const others = this.events.filter(({ type }) => type !== 'message')
    this.events.splice(0, this.events.length, ...others)
    for (const record of this.inbox.values()) record.settled = false
  }

  untilEvent<T extends NodeEvent['type']>(
    type: T,
    matches: (event: EventOf<T>) => boolean = () => true,
    timeoutMs?: number,
  ): Promise<EventOf<T>> {
    return this.until(() => this.eventsOf(type).find(matches), `event ${type}`, timeoutMs)
  }

  /** resolves once each of these messages has been reported, in whatever order and however often */
  async untilMessages(ids: readonly string[], timeoutMs?: number): Promise<void> {
    const allReported = () => {
      const reported = new Set(this.eventsOf('message').map(({ id }) => id))
      return ids.every((id) => reported.has(id))
    }
    await this.until(allReported, `all ${ids.length} messages`, timeoutMs)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const body = await read(request)
    if (this.away) {
      request.socket.destroy()
      return
    }
    if (this.latencyMs > 0) await sleep(this.latencyMs)
    const answer = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    }
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return answer(401, { code: 'unauthorized' })
    const path = request.url?.replace(`/internal/sessions/${SESSION}/`, '') ?? ''
    if (path === 'attach') return answer(200, this.#attach(body))
    if (path === 'keys') return this.#keys(body, answer)
    if (path === 'commits') return this.#commit(body, answer)
    const [, id = ''] = /^messages\/(.+)$/.exec(path) ?? []
    return answer(200, { raw: this.raws.get(decodeURIComponent(id)) ?? null })
  }

  #attach(body: string): AttachResult {
    attachRequest.parse(JSON.parse(body))
    this.generation += 1
    this.#lastSeq = 0
    return {
      generation: this.generation,
      creds: this.creds,
      me: this.me,
      unsettled: [...this.inbox.values()].filter(({ settled }) => !settled).map(({ entry }) => entry),
      seen: [...this.inbox.keys()].reverse(),
      acked: [...this.acked],
      settings: this.settings,
    }
  }

  #keys(body: string, answer: Answer): unknown {
    const { generation, type, ids } = keysRequest.parse(JSON.parse(body))
    if (generation !== this.generation) return answer(410, { code: 'fenced' })
    this.keyRequests += 1
    const values: Record<string, string> = {}
    for (const id of ids) {
      const value = type === 'x-inbox' ? this.inbox.get(id)?.entry.plaintext : this.keys.get(`${type}/${id}`)
      if (value !== undefined) values[id] = value
    }
    return answer(200, { values })
  }

  async #commit(body: string, answer: Answer): Promise<unknown> {
    if (this.refuseWith) return answer(this.refuseWith, { code: 'invalid_request' })
    if (Buffer.byteLength(body) > MAX_COMMIT_BYTES) return answer(413, { code: 'too_large' })
    const parsed = commitRequest.safeParse(JSON.parse(body))
    if (!parsed.success) return answer(400, { code: 'invalid_request', detail: parsed.error.message })
    const commit = parsed.data
    if (commit.generation !== this.generation) return answer(410, { code: 'fenced' })
    if (commit.seq > this.#lastSeq + 1) return answer(409, { code: 'sequence_gap' })
    if (commit.seq <= this.#lastSeq) {
      this.repeated += 1
      return answer(200, { seq: commit.seq, applied: false })
    }
    this.#apply(commit)
    await this.onApplied(commit)
    return answer(200, { seq: commit.seq, applied: true })
  }

  #apply(commit: CommitRequest): void {
    this.#lastSeq = commit.seq
    this.commits.push(commit)
    if (commit.creds !== undefined) this.creds = commit.creds
    for (const { type, id, value } of commit.keys) {
      if (value === null) this.keys.delete(`${type}/${id}`)
      else this.keys.set(`${type}/${id}`, value)
    }
    for (const entry of commit.inbox) this.inbox.set(entry.hash, { entry, settled: false })
    for (const event of commit.events) this.#note(event)
    this.#changes.emit('applied')
  }

  #note(event: NodeEvent): void {
    this.events.push(event)
    const settled = event.type === 'message' ? event.settles : event.type === 'settled' ? event.hashes : []
    for (const hash of settled) {
      const record = this.inbox.get(hash)
      if (record) record.settled = true
    }
    if (event.type === 'message' && event.raw) this.raws.set(event.id, event.raw)
    if (event.type === 'prepared') this.raws.set(event.id, event.raw)
    if (event.type === 'ack' && event.error === undefined) this.acked.add(event.id)
    if (event.type === 'state') {
      if (event.me) this.me = event.me
      if (event.state === 'logged_out') {
        this.creds = null
        this.me = null
        this.keys.clear()
        this.inbox.clear()
      }
    }
  }
}

const read = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
