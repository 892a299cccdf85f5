import type { Account, Device, KeyBundle, Stanza } from '../types.ts'

/** Ids are remembered up to this many, so that long benchmarks do not fill the memory. */
const KEPT_IDS = 50_000

/** A device that a real client runs: it came by pairing, and logs in with its Noise key. */
export class LinkedDevice implements Device {
  readonly account: Account
  readonly id: number
  readonly noiseKey: Buffer
  /** position in the account's key-index list; never zero, or clients ignore the device */
  readonly keyIndex: number
  deviceIdentity: Buffer
  keys: KeyBundle
  deliver: ((stanza: Stanza) => void) | undefined = undefined
  connected = false
  /** its phone has given it the history, or was asked to */
  welcomed = false
  connects = 0
  disconnects = 0
  /** set once the client has been told that its prekeys run low, until it uploads more */
  warnedLow = false
  readonly #sent = new Set<string>()

  constructor(parts: {
    account: Account
    id: number
    noiseKey: Buffer
    keyIndex: number
    deviceIdentity: Buffer
    keys: KeyBundle
  }) {
    this.account = parts.account
    this.id = parts.id
    this.noiseKey = parts.noiseKey
    this.keyIndex = parts.keyIndex
    this.deviceIdentity = parts.deviceIdentity
    this.keys = parts.keys
  }

  /** Notes a sent message id; true when this device had sent it before. */
  isRepeat(messageId: string): boolean {
    if (this.#sent.has(messageId)) return true
    this.#sent.add(messageId)
    if (this.#sent.size > KEPT_IDS) {
      for (const oldest of this.#sent) {
        this.#sent.delete(oldest)
        break
      }
    }
    return false
  }
}
