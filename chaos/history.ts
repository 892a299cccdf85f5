/** What the writers did, as they saw it: the truth that everything else is compared with. */

/** A person in the simulator, and what they do with our messages. */
export interface Contact {
  phone: string
  lid: string
  /** reads all that comes; otherwise it is only delivered */
  reads: boolean
}

/** A message that a contact handed to WhatsApp for one of our accounts. */
export interface Inbound {
  waId: string
  accountId: string
  contact: string
  text: string
}

/**
 * A message that a client asked the API to send. Times are of the client's clock: the first try left at `askedAt`, and
 * the final answer was there at `answeredAt`. Items of one bulk request share both and have a place in it.
 */
export interface Outbound {
  accountId: string
  contact: string
  text: string
  mode: 'sync' | 'async' | 'bulk'
  key: string
  place: number
  askedAt: number
  answeredAt: number
  tries: number
  /** `unanswered`: the run ended before the API did */
  outcome: 'accepted' | 'refused' | 'unanswered'
  /** our id of it when it was accepted */
  id: string | undefined
  /** why it was refused, or what the last try met */
  code: string | undefined
}

export interface History {
  accounts: string[]
  contacts: Contact[]
  inbound: Inbound[]
  outbound: Outbound[]
}
