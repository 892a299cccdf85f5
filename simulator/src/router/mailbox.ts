import { child, children } from '../codec/stanza.ts'
import type { Stanza } from '../types.ts'

/** What one stanza is settled by: its class and id, and for receipts their type, since one message has several. */
const keyOf = (tag: string, id: string | undefined, type: string | undefined): string =>
  tag === 'receipt' ? `${tag} ${id} ${type ?? ''}` : `${tag} ${id}`

/**
 * Everything that a device has been sent, or is to be sent, and has not confirmed. It outlives connections:
 * what is in it when a client logs in is delivered then, whether or not it went over an earlier socket.
 */
export class Mailbox {
  readonly #entries = new Map<number, { key: string; stanza: Stanza }>()
  readonly #sequences = new Map<string, number[]>()
  /** asked for again, so that the error ack which follows does not confirm the resend */
  readonly #retried = new Set<string>()
  #next = 0

  get size(): number {
    return this.#entries.size
  }

  add(stanza: Stanza): void {
    const key = keyOf(stanza.tag, stanza.attrs.id, stanza.attrs.type)
    const sequence = this.#next++
    this.#entries.set(sequence, { key, stanza })
    const known = this.#sequences.get(key)
    if (known) known.push(sequence)
    else this.#sequences.set(key, [sequence])
  }

  /** The client's receipt: confirms every message it lists. */
  settleReceipt(receipt: Stanza): void {
    const first = keyOf('message', receipt.attrs.id, undefined)
    this.#settle(first)
    if (receipt.attrs.type === 'retry') this.#retried.add(first)
    for (const item of children(child(receipt, 'list')))
      this.#settle(keyOf('message', item.attrs.id, undefined))
  }

  /** The client's ack: confirms one stanza of its class. */
  settleAck({ attrs }: Stanza): void {
    const key = keyOf(attrs.class ?? '', attrs.id, attrs.type)
    if (attrs.error !== undefined && this.#retried.delete(key)) return
    this.#settle(key)
  }

  /** Unconfirmed stanzas, oldest first. */
  pending(): Stanza[] {
    return Array.from(this.#entries.values(), (entry) => entry.stanza)
  }

  /** Stanzas of one id can be several (a sender that repeats itself): each confirmation settles the oldest. */
  #settle(key: string): void {
    const sequences = this.#sequences.get(key)
    const oldest = sequences?.shift()
    if (oldest === undefined) return
    this.#entries.delete(oldest)
    if (sequences?.length === 0) this.#sequences.delete(key)
  }
}
