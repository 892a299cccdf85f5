import type { CacheStore, SignalKeyStore } from '@whiskeysockets/baileys'
import { Lock } from './lock.ts'

/** of a (message id, participant): its retries so far, and when that is forgotten */
type Counter = [id: string, count: number, until: number]

const COUNTERS_TYPE = 'x-retries'
const KEPT_MS = 60 * 60_000
/** A key of a few counters each: small writes, and a bound that holds without anybody who cleans up. */
const KEYS = 16
const MAX_PER_KEY = 32

/**
 * How often a message was sent again to a device that could not read it, for Baileys' bound. Kept with the Signal keys,
 * so that a node that replaces this one goes on counting.
 */
export class RetryCounters implements CacheStore {
  readonly #keys: SignalKeyStore
  readonly #now: () => number
  readonly #lock = new Lock()

  constructor(keys: SignalKeyStore, now: () => number = Date.now) {
    this.#keys = keys
    this.#now = now
  }

  async get<T>(id: string): Promise<T> {
    const counter = (await this.#read(keyOf(id))).find(([known]) => known === id)
    // undefined where there is none; the interface has no word for that in a promise
    return counter?.[1] as T
  }

  set<T>(id: string, value: T): Promise<void> {
    return this.#change(id, [[id, Number(value), this.#now() + KEPT_MS]])
  }

  del(id: string): Promise<void> {
    return this.#change(id, [])
  }

  async flushAll(): Promise<void> {
    const none = Array.from({ length: KEYS }, (_, n) => [String(n), null])
    await this.#keys.set({ [COUNTERS_TYPE]: Object.fromEntries(none) } as never)
  }

  /** one after the other: a key holds counters that others change */
  #change(id: string, added: Counter[]): Promise<void> {
    const key = keyOf(id)
    return this.#lock.run(async () => {
      const others = (await this.#read(key)).filter(([known]) => known !== id)
      const counters = [...others, ...added].slice(-MAX_PER_KEY)
      await this.#keys.set({ [COUNTERS_TYPE]: { [key]: counters.length > 0 ? counters : null } } as never)
    })
  }

  async #read(key: string): Promise<Counter[]> {
    const { [key]: counters } = (await this.#keys.get(COUNTERS_TYPE as never, [key])) as Record<
      string,
      Counter[]
    >
    return (counters ?? []).filter(([, , until]) => until > this.#now())
  }
}

const keyOf = (id: string): string => {
  let sum = 0
  for (let n = 0; n < id.length; n++) sum += id.charCodeAt(n)
  return String(sum % KEYS)
}
