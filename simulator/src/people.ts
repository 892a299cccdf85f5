import { personJid } from './jid.ts'
import { Refusal } from './refusal.ts'
import type { Account, ServerPort } from './types.ts'
import { type Behaviour, type Contact, createContact } from './virtual/contact.ts'
import type { Sent } from './virtual/journal.ts'
import { createPhone, type Phone } from './virtual/phone.ts'
import { type Sending, sendAll } from './virtual/sending.ts'
import { createTimers } from './virtual/timers.ts'

export interface Person {
  phone: string
  /** bare */
  jid: string
  /** bare */
  lid: string
}

/** One row for each message id that reached a contact. */
export interface Arrival {
  id: string
  from: string
  /** bare JID of the person or group that it was written in the chat with */
  chat: string
  type: string
  text: string
  /** first arrival, ms since the epoch */
  at: number
  times: number
  /** how often it was asked for again before it could be read */
  asked: number
}

/** A message that a contact could not read, and has not been able to since. */
export interface Unreadable {
  id: string
  reason: string
}

/** The phones and contacts that live in this process. An account's device 0 is one or the other. */
export class People {
  readonly #port: ServerPort
  readonly #seed: number
  readonly #phones = new Map<Account, Phone>()
  readonly #contacts = new Map<Account, Contact>()
  readonly #timers = createTimers()

  constructor(port: ServerPort, seed: number) {
    this.#port = port
    this.#seed = seed
  }

  /**
   * Puts the account's phone into service. It reads all, and stays silent: receipts are to come from the client
   * that is being tried, not from the phone beside it. 409 when the account is a contact.
   */
  phone(account: Account): void {
    if (this.#contacts.has(account)) throw new Refusal(409, `${account.pn} is a contact: link another phone`)
    if (this.#phones.has(account)) return
    this.#phones.set(account, createPhone(this.#port, account, { receipts: () => false }))
  }

  /** The phone's first words to a companion. */
  async welcome(account: Account, companion: number): Promise<void> {
    await this.#phones.get(account)?.welcome(companion)
  }

  /** A contact, or a known one with a changed manner. 409 when the account's phone is a linked one's. */
  contact(account: Account, behaviour: Partial<Behaviour> | undefined): Person {
    if (this.#phones.has(account))
      throw new Refusal(409, `${account.pn} has linked devices: it is no contact`)
    const known = this.#contacts.get(account)
    if (known) known.behave(behaviour ?? {})
    else this.#contacts.set(account, createContact(this.#port, account, { behaviour, seed: this.#seed }))
    return { phone: account.pn, jid: personJid(account, 'pn'), lid: personJid(account, 'lid') }
  }

  /** Resolves with the ids when all have left. 404 for no contact, 400 when nobody is there to write to. */
  send(account: Account | undefined, sending: Sending): Promise<string[]> {
    return this.#find(account).send(sending)
  }

  /** The owner of a linked account writes on the phone. Resolves as `send` does; 404 for no such phone. */
  sendFromPhone(account: Account | undefined, sending: Sending): Promise<string[]> {
    const phone = account && this.#phones.get(account)
    if (!phone) throw new Refusal(404, 'no such phone of a linked account')
    return sendAll(this.#port, phone, this.#timers, sending)
  }

  /** What is written to the contact in a running conversation can then not be read, and is asked for again. */
  loseSessions(account: Account | undefined): Promise<void> {
    return this.#find(account).device.loseSessions()
  }

  received(account: Account | undefined): Arrival[] {
    const arrivals = this.#find(account).received()
    return arrivals.map(({ id, from, chat, type, text, at, times, asked }) => ({
      id,
      from,
      chat,
      type,
      text,
      at,
      times,
      asked,
    }))
  }

  /** What a contact wrote and what came back of it, oldest first. */
  sent(account: Account | undefined): Sent[] {
    return this.#find(account).journal.allSent()
  }

  unreadable(account: Account | undefined): Unreadable[] {
    const failures = this.#find(account).journal.undecryptable()
    return Array.from(failures, ([id, reason]) => ({ id, reason }))
  }

  close(): void {
    this.#timers.close()
    for (const contact of this.#contacts.values()) contact.close()
  }

  #find(account: Account | undefined): Contact {
    const contact = account && this.#contacts.get(account)
    if (!contact) throw new Refusal(404, 'no such contact')
    return contact
  }
}
