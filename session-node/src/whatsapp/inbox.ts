import { createHash } from 'node:crypto'
import type { InboxEntry } from '../../contract/index.ts'

/** the key type under which a plaintext travels with the ratchet step that made it */
export const INBOX_TYPE = 'x-inbox'

const MAX_SEEN = 10_000
const MAX_OPEN = 2_000

export const hashOf = (ciphertext: Uint8Array): string =>
  createHash('sha256').update(ciphertext).digest('hex')

/**
 * What has been decrypted and which event accounts for it. WhatsApp repeats what we did not receipt, but a ratchet
 * turns only once: a repeated ciphertext gets the plaintext of its first time.
 */
export class Inbox {
  readonly #seen = new Set<string>()
  /** plaintexts that the database may not have yet */
  readonly #held = new Map<string, Uint8Array>()
  /** a stanza's parts that wait for the stanza's event, by message key */
  readonly #open = new Map<string, string[]>()
  #history: string[] = []
  #keyShares: string[] = []

  /** @param seen hashes known to the database, newest first */
  constructor(seen: readonly string[]) {
    for (const hash of seen.slice(0, MAX_SEEN).reverse()) this.#seen.add(compact(hash))
  }

  hasSeen(hash: string): boolean {
    return this.#seen.has(compact(hash))
  }

  plaintext(hash: string): Uint8Array | undefined {
    return this.#held.get(hash)
  }

  /** a new plaintext is in the log */
  hold(entry: InboxEntry): void {
    this.#held.set(entry.hash, Buffer.from(entry.plaintext, 'base64'))
    remember(this.#seen, compact(entry.hash))
  }

  /** and now in the database */
  release(hash: string): void {
    this.#held.delete(hash)
  }

  /** a part of this message has been decrypted, or answered from the inbox */
  open(messageKey: string, hash: string): void {
    const hashes = this.#open.get(messageKey) ?? []
    this.#open.set(messageKey, [...hashes, hash])
    if (this.#open.size > MAX_OPEN) {
      const [oldest] = this.#open.keys()
      if (oldest !== undefined) this.#open.delete(oldest)
    }
  }

  /** the parts that the event of this message settles */
  take(messageKey: string): string[] {
    const hashes = this.#open.get(messageKey) ?? []
    this.#open.delete(messageKey)
    return hashes
  }

  /**
   * A history notification settles when its contents are in the log. Baileys takes them one at a time, so one that is
   * still waiting when the next comes has failed: it stays unsettled and is tried again at the next attach.
   */
  awaitHistory(hashes: string[]): void {
    this.#history = hashes
  }

  settleHistory(): string[] {
    return this.#history.splice(0)
  }

  /** a key share settles when its keys are in the log */
  awaitKeyShare(hashes: string[]): void {
    this.#keyShares.push(...hashes)
  }

  settleKeyShares(): string[] {
    return this.#keyShares.splice(0)
  }
}

/** 32 characters of one byte instead of 64: there are thousands of them */
const compact = (hash: string) => Buffer.from(hash, 'hex').toString('latin1')

const remember = (set: Set<string>, value: string) => {
  set.add(value)
  if (set.size > MAX_SEEN) {
    const [oldest] = set
    if (oldest !== undefined) set.delete(oldest)
  }
}
