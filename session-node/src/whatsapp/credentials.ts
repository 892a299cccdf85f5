import { type AuthenticationCreds, BufferJSON, initAuthCreds } from '@whiskeysockets/baileys'
import type { Address } from '../../contract/index.ts'
import { addressOf } from './addresses.ts'

const KEPT_HISTORY_KEYS = 20
const nobody = { lidOf: () => undefined, pnOf: () => undefined }

/** The account's credentials: Baileys changes them in place, we say what of them may be stored. */
export class Credentials {
  #creds: AuthenticationCreds

  constructor(stored: string | null) {
    this.#creds = stored === null ? initAuthCreds() : JSON.parse(stored, BufferJSON.reviver)
  }

  get current(): AuthenticationCreds {
    return this.#creds
  }

  /** linked by the phone; before, they are worth nothing to another process */
  get paired(): boolean {
    return Boolean(this.#creds.me && this.#creds.account)
  }

  get me(): (Address & { name?: string }) | undefined {
    if (!this.paired || !this.#creds.me) return undefined
    const { id, lid, name } = this.#creds.me
    return { ...addressOf(id, lid, nobody), ...(name ? { name } : {}) }
  }

  /** a new identity, for a new pairing */
  renew(): void {
    this.#creds = initAuthCreds()
  }

  serialise(): string {
    // of the processed history Baileys only asks whether there was any, and never trims it
    const processedHistoryMessages = this.#creds.processedHistoryMessages.slice(-KEPT_HISTORY_KEYS)
    return JSON.stringify({ ...this.#creds, processedHistoryMessages }, BufferJSON.replacer)
  }
}
