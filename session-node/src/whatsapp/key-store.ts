import {
  BufferJSON,
  proto,
  type SignalDataSet,
  type SignalDataTypeMap,
  type SignalKeyStore,
} from '@whiskeysockets/baileys'
import type { InboxEntry, KeyMutation, NodeEventInput } from '../../contract/index.ts'
import type { Entry } from '../commits/batch.ts'
import type { Identities } from './identities.ts'
import { INBOX_TYPE, type Inbox } from './inbox.ts'
import type { KeyCache } from './key-cache.ts'

export interface KeyStoreOptions {
  cache: KeyCache
  inbox: Inbox
  identities: Identities
  log: { append(entry: Entry): number; durable(position: number): Promise<void> }
  fetch: (type: string, ids: string[]) => Promise<Record<string, string>>
}

/** a set larger than this is split: only mappings and pre-keys come in such numbers, and each stands for itself */
const MAX_KEYS_PER_ENTRY = 2_000
const MAX_KEYS_PER_FETCH = 2_000

/**
 * Baileys' key store. A `set` is in the cache and in the commit log when it returns; that it is durable is the output
 * gate's concern. Values are kept serialised, so that nobody can change a stored one by changing what he got.
 */
export class KeyStore {
  readonly #options: KeyStoreOptions
  readonly #fetching = new Map<string, Promise<void>>()
  /** counts up: which identity the keys are of */
  #identity = 0

  constructor(options: KeyStoreOptions) {
    this.#options = options
  }

  /**
   * The store as one socket has it. A socket has work in hand when its identity ends: what that writes from then on
   * would be taken for the next identity's.
   */
  ofIdentity(): SignalKeyStore {
    const identity = this.#identity
    return {
      get: async (type, ids) => (identity === this.#identity ? this.get(type, ids) : {}),
      set: async (data) => {
        if (identity === this.#identity) await this.set(data)
      },
    }
  }

  async get<T extends keyof SignalDataTypeMap>(
    type: T,
    ids: string[],
  ): Promise<{ [id: string]: SignalDataTypeMap[T] }> {
    if ((type as string) === INBOX_TYPE) return (await this.#plaintexts(ids)) as never
    const { cache } = this.#options
    const unknown = ids.filter((id) => cache.get(type, id) === undefined)
    // a fetched value may be dropped again before it is read, so it is taken from the answer
    const fetched = unknown.length > 0 ? await this.#fetch(type, unknown) : undefined
    const found: { [id: string]: SignalDataTypeMap[T] } = {}
    for (const id of ids) {
      const value = cache.get(type, id) ?? fetched?.get(id)
      if (value !== undefined && value !== null) found[id] = revive(type, value)
      if (type === 'pre-key') cache.forget(type, id)
    }
    return found
  }

  async set(data: SignalDataSet): Promise<void> {
    const keys: KeyMutation[] = []
    const plaintexts: InboxEntry[] = []
    for (const [type, values] of Object.entries(data)) {
      for (const [id, value] of Object.entries(values ?? {})) {
        if (type === INBOX_TYPE) plaintexts.push(value as unknown as InboxEntry)
        else
          keys.push({ type, id, value: value === null ? null : JSON.stringify(value, BufferJSON.replacer) })
      }
    }
    const { log, cache } = this.#options
    do {
      const part = keys.splice(0, MAX_KEYS_PER_ENTRY)
      const events = this.#eventsOf(part)
      const position = log.append({
        ...(part.length > 0 ? { keys: part } : {}),
        ...(plaintexts.length > 0 ? { inbox: [...plaintexts] } : {}),
        ...(events.length > 0 ? { events } : {}),
      })
      for (const key of part) cache.write(key.type, key.id, key.value, position)
      if (plaintexts.length > 0) this.#hold(plaintexts.splice(0), position)
      this.#forgetPreKeys(part, position)
    } while (keys.length > 0)
  }

  /** for a new identity: nothing of the old one may answer */
  clear(): void {
    this.#identity += 1
    this.#options.cache.clear()
  }

  /** what a write of keys means to the orchestrator, told in the same commit */
  #eventsOf(keys: KeyMutation[]): NodeEventInput[] {
    const { identities, inbox } = this.#options
    const pairs = keys.flatMap(({ type, id, value }) => {
      if (type !== 'lid-mapping' || value === null || id.endsWith('_reverse')) return []
      const lid = JSON.parse(value) as string
      return isDigits(id) && isDigits(lid) && identities.learn(id, lid) ? [{ pn: id, lid }] : []
    })
    const settled = keys.some(({ type }) => type === 'app-state-sync-key') ? inbox.settleKeyShares() : []
    return [
      ...(pairs.length > 0 ? [{ type: 'identities' as const, pairs }] : []),
      ...(settled.length > 0 ? [{ type: 'settled' as const, hashes: settled }] : []),
    ]
  }

  /** each is used once, long after: they need not stay in memory */
  #forgetPreKeys(keys: KeyMutation[], position: number): void {
    const ids = keys.filter(({ type, value }) => type === 'pre-key' && value !== null).map(({ id }) => id)
    if (ids.length === 0) return
    void this.#options.log.durable(position).then(() => {
      for (const id of ids) this.#options.cache.forget('pre-key', id)
    })
  }

  /** until the database can answer for them */
  #hold(entries: InboxEntry[], position: number): void {
    const { inbox, log } = this.#options
    for (const entry of entries) inbox.hold(entry)
    void log.durable(position).then(() => {
      for (const entry of entries) inbox.release(entry.hash)
    })
  }

  async #fetch(type: string, ids: string[]): Promise<Map<string, string>> {
    const answers = new Map<string, string>()
    const mine: string[] = []
    const waits: Promise<void>[] = []
    const identity = this.#identity
    for (const id of ids) {
      const running = this.#fetching.get(`${type}\0${id}`)
      if (running) waits.push(running)
      else mine.push(id)
    }
    while (mine.length > 0) {
      const part = mine.splice(0, MAX_KEYS_PER_FETCH)
      const request = this.#options.fetch(type, part).then((values) => {
        if (identity !== this.#identity) return
        for (const id of part) {
          this.#options.cache.learn(type, id, values[id] ?? null)
          const value = values[id]
          if (value !== undefined) answers.set(id, value)
          if (type === 'lid-mapping' && value !== undefined) this.#learnMapping(id, value)
        }
      })
      const done = request.finally(() => {
        for (const id of part) this.#fetching.delete(`${type}\0${id}`)
      })
      for (const id of part) this.#fetching.set(`${type}\0${id}`, done)
      waits.push(done)
    }
    await Promise.all(waits)
    return answers
  }

  #learnMapping(id: string, json: string): void {
    const value = JSON.parse(json) as string
    if (id.endsWith('_reverse')) this.#options.identities.learn(value, id.slice(0, -'_reverse'.length))
    else this.#options.identities.learn(id, value)
  }

  async #plaintexts(hashes: string[]): Promise<Record<string, Uint8Array>> {
    const { inbox, fetch } = this.#options
    const found: Record<string, Uint8Array> = {}
    for (const hash of hashes) {
      const held = inbox.plaintext(hash)
      if (held) found[hash] = held
      else if (inbox.hasSeen(hash)) {
        const { [hash]: stored } = await fetch(INBOX_TYPE, [hash])
        if (stored) found[hash] = Buffer.from(stored, 'base64')
      }
    }
    return found
  }
}

const isDigits = (text: string) => /^\d{5,20}$/.test(text)

const revive = <T extends keyof SignalDataTypeMap>(type: T, json: string): SignalDataTypeMap[T] => {
  const value = JSON.parse(json, BufferJSON.reviver)
  if (type !== 'app-state-sync-key') return value
  return proto.Message.AppStateSyncKeyData.fromObject(value) as never
}
