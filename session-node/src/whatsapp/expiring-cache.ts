import type { CacheStore } from '@whiskeysockets/baileys'

/** A small cache with a life time and a bound, for what Baileys remembers across reconnects. */
export class ExpiringCache implements CacheStore {
  readonly #entries = new Map<string, { value: unknown; until: number }>()
  readonly #ttlMs: number
  readonly #max: number
  readonly #now: () => number

  constructor(ttlMs: number, max: number, now: () => number = Date.now) {
    this.#ttlMs = ttlMs
    this.#max = max
    this.#now = now
  }

  get<T>(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    if (entry.until > this.#now()) return entry.value as T
    this.#entries.delete(key)
    return undefined
  }

  set<T>(key: string, value: T): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, until: this.#now() + this.#ttlMs })
    if (this.#entries.size > this.#max) {
      const [oldest] = this.#entries.keys()
      if (oldest !== undefined) this.#entries.delete(oldest)
    }
  }

  del(key: string): void {
    this.#entries.delete(key)
  }

  flushAll(): void {
    this.#entries.clear()
  }
}
