import { type Random, seededRandom, streamSeed } from '../faults/random.ts'
import { personJid } from '../jid.ts'
import type { Account, ServerPort, Stanza } from '../types.ts'
import type { Journal, Received } from './journal.ts'
import { readReceipt } from './receipts.ts'
import { type Sending, sendAll } from './sending.ts'
import { createTimers } from './timers.ts'
import { createVirtualDevice, type VirtualDevice } from './virtual-device.ts'

/** What a contact does with a message, in this order: receipt, read, play, type, answer. */
export interface Behaviour {
  /** sends delivery receipts; false makes a contact from whom nothing at all comes back, reads and answers included */
  receipts: boolean
  /** read receipts: never, at once, or after so many ms */
  reads: boolean | number
  /** also tells that voice notes were played, after reading them */
  played: boolean
  /** shows "typing…" until the answer leaves */
  types: boolean
  /** answers texts and media, but no reactions or protocol messages; without `text` it echoes */
  answers: false | { text?: string; delayMs?: number }
}

export interface ContactOptions {
  /** push name; the account's own when left out */
  name?: string
  /** what is left out: receipts are sent, nothing else */
  behaviour?: Partial<Behaviour>
  /** everything random about this contact, its message ids, follows from the seed and its phone number */
  seed?: number
}

export interface Contact {
  readonly account: Account
  readonly device: VirtualDevice
  readonly journal: Journal
  /** Resolves with the ids that were sent, in order: fewer than `count` when closed meanwhile. Rejects when nobody is at `to`. */
  send(sending: Sending): Promise<string[]>
  received(): Received[]
  /** Changes what it does with the messages to come. */
  behave(change: Partial<Behaviour>): void
  /** Calls off all that waits: reads, answers, sends. What it has is kept, and it still decrypts. */
  close(): void
}

const QUIET: Behaviour = { receipts: true, reads: false, played: false, types: false, answers: false }
const ANSWERED = new Set([
  'text',
  'image',
  'video',
  'audio',
  'document',
  'sticker',
  'location',
  'contact',
  'ptv',
])

/** A person with a phone, who reads and answers by script. */
export function createContact(port: ServerPort, account: Account, options: ContactOptions = {}): Contact {
  const { name, behaviour = {}, seed = 1 } = options
  if (name !== undefined) account.name = name
  const timers = createTimers()
  const newId = idsFrom(seededRandom(streamSeed(seed, account.pn)))
  let manner: Behaviour = { ...QUIET, ...behaviour }

  const device = createVirtualDevice(port, account, 0, {
    newId,
    receipts: () => manner.receipts,
    onMessage(message, stanza) {
      if (manner.receipts && !message.own) react(message, stanza).catch(console.error)
    },
  })

  async function react(message: Received, stanza: Stanza): Promise<void> {
    // A change of manner is for later messages.
    const { reads, played, types, answers } = manner
    if (!(await timers.wait(typeof reads === 'number' ? reads : 0))) return
    if (reads !== false) {
      await device.submit(readReceipt(stanza, 'read'))
      if (played && message.message?.audioMessage?.ptt) await device.submit(readReceipt(stanza, 'played'))
    }
    if (!answers || !ANSWERED.has(message.type)) return
    const { delayMs = 0, text = `echo: ${message.text}` } = answers
    if (types) await chatstate(message.chat, 'composing')
    if (!(await timers.wait(delayMs))) return
    if (types) await chatstate(message.chat, 'paused')
    await device.send(message.chat, { conversation: text })
  }

  function chatstate(to: string, state: 'composing' | 'paused'): Promise<void> {
    const attrs = { from: personJid(account, port.addressing()), to }
    return device.submit({ tag: 'chatstate', attrs, content: [{ tag: state, attrs: {} }] })
  }

  return {
    account,
    device,
    journal: device.journal,
    send: (sending) => sendAll(port, device, timers, sending),
    received: () => device.journal.received(),
    behave(change) {
      manner = { ...manner, ...change }
    },
    close: () => timers.close(),
  }
}

/** Message ids as WhatsApp clients make them, the same row for the same random numbers. */
function idsFrom(random: Random): () => string {
  return () => {
    const digits = Array.from({ length: 18 }, () => Math.floor(random() * 16).toString(16))
    return `3EB0${digits.join('').toUpperCase()}`
  }
}
