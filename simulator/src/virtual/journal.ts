/** What a virtual device remembers: what reached it, and what became of what it sent. */
import type { proto } from '@whiskeysockets/baileys'
import { addBounded } from './bounded-map.ts'

export interface Received {
  id: string
  /** bare JID of the author, as the stanza named it */
  from: string
  /** bare JID of the chat: the author, the recipient (own device's copy), or the group */
  chat: string
  /** written by another device of the same account */
  own: boolean
  /** see contentType */
  type: string
  text: string
  /** decoded content; left out for plain texts, of which `text` says all */
  message?: proto.IMessage
  /** first arrival, ms since the epoch */
  at: number
  /** deliveries of this id that could be read or were known repeats */
  times: number
  /** how often it was asked for again before it could be read */
  asked: number
  /** counts arrivals on this device, from 1 */
  order: number
}

/** Times are ms since the epoch; delivered, read and played are the first receipt of their kind. */
export interface Sent {
  id: string
  to: string
  at: number
  acked?: number
  /** error code of the server's ack */
  error?: string
  delivered?: number
  read?: number
  played?: number
  /** resends that retry receipts asked for */
  resends: number
}

export type Mark = 'acked' | 'delivered' | 'read' | 'played'

export interface Journal {
  received(): Received[]
  sent(id: string): Sent | undefined
  /** oldest first */
  allSent(): Sent[]
  /** ids that could not be decrypted and have not been since, with the newest reason */
  undecryptable(): Map<string, string>
  /** resolves with the first message, past or to come, that matches; rejects after `timeoutMs` */
  untilReceived(match: (message: Received) => boolean, timeoutMs?: number): Promise<Received>
  /** resolves when the sent message has the mark; rejects after `timeoutMs` */
  untilMarked(id: string, mark: Mark, timeoutMs?: number): Promise<Sent>
  /** drops all that is remembered; those who wait go on waiting */
  forget(): void
}

/** The side the device writes to. */
export interface JournalWriter extends Journal {
  /** the new entry; undefined when this author's id is known already, and its count goes up. `author` is canonical */
  arrived(author: string, message: Omit<Received, 'at' | 'times' | 'order'>): Received | undefined
  /** false when this author's id is not known */
  repeated(author: string, id: string): boolean
  failed(id: string, reason: string): void
  left(id: string, to: string): void
  resent(id: string): void
  mark(id: string, mark: Mark, error?: string): void
}

/** ms since the epoch, finer than whole ones */
const now = () => performance.timeOrigin + performance.now()

const PATIENCE_MS = 10_000
/** as many messages are remembered, of each direction */
const REMEMBERED = 100_000

export function createJournal(): JournalWriter {
  const received = new Map<string, Received>()
  const sent = new Map<string, Sent>()
  const failures = new Map<string, string>()
  const watchers = new Set<() => void>()
  let order = 0
  let latest: Received | undefined

  /** Waits for `look` to find something; it looks now and after every change. */
  function until<T>(look: () => T | undefined, what: string, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        watchers.delete(watcher)
        reject(new Error(`${what}: not within ${timeoutMs} ms`))
      }, timeoutMs)
      const watcher = () => {
        const found = look()
        if (found === undefined) return
        clearTimeout(timer)
        watchers.delete(watcher)
        resolve(found)
      }
      watchers.add(watcher)
      watcher()
    })
  }

  function changed(): void {
    for (const watcher of watchers) watcher()
  }

  return {
    received: () => [...received.values()],
    sent: (id) => sent.get(id),
    allSent: () => [...sent.values()],
    undecryptable: () => new Map(failures),
    async untilReceived(match, timeoutMs = PATIENCE_MS) {
      const past = [...received.values()].find(match)
      return past ?? until(() => (latest && match(latest) ? latest : undefined), 'A message', timeoutMs)
    },
    untilMarked: (id, mark, timeoutMs = PATIENCE_MS) =>
      until(
        () => {
          const entry = sent.get(id)
          return entry?.[mark] === undefined ? undefined : entry
        },
        `${id} ${mark}`,
        timeoutMs,
      ),
    forget() {
      latest = undefined
      received.clear()
      sent.clear()
      failures.clear()
    },
    arrived(author, message) {
      failures.delete(message.id)
      if (this.repeated(author, message.id)) return undefined
      latest = { ...message, at: now(), times: 1, order: ++order }
      addBounded(received, `${author} ${message.id}`, latest, REMEMBERED)
      changed()
      return latest
    },
    repeated(author, id) {
      const known = received.get(`${author} ${id}`)
      if (!known) return false
      known.times++
      latest = known
      changed()
      return true
    },
    failed(id, reason) {
      failures.set(id, reason)
      changed()
    },
    left(id, to) {
      addBounded(sent, id, { id, to, at: now(), resends: 0 }, REMEMBERED)
    },
    resent(id) {
      const entry = sent.get(id)
      if (entry) entry.resends++
      changed()
    },
    mark(id, mark, error) {
      const entry = sent.get(id)
      if (!entry) return
      entry[mark] ??= now()
      if (error) entry.error = error
      changed()
    },
  }
}
