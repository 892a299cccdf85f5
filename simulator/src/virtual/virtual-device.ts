import { randomBytes } from 'node:crypto'
import type { proto } from '@whiskeysockets/baileys'
import type { Account, Device, ServerPort, Stanza } from '../types.ts'
import { addBounded } from './bounded-map.ts'
import { createEndpoint } from './endpoint.ts'
import { envelope, openMessage } from './incoming.ts'
import { createJournal, type Journal, type Mark, type Received } from './journal.ts'
import { createLane } from './lane.ts'
import { contentText, contentType, isPlainText } from './message-content.ts'
import { createOutgoing } from './outgoing.ts'
import { deliveryReceipt, keysNode, readRetry, receiptIds, retryReceipt } from './receipts.ts'
import { isRepeat } from './signal-session.ts'

export interface VirtualDevice {
  readonly device: Device
  readonly journal: Journal
  /**
   * Sends to a person or group (bare JID) in the order of calls. Resolves with the message id when the server has
   * the stanza; rejects when nobody is there.
   */
  send(to: string, message: proto.IMessage, options?: { id?: string }): Promise<string>
  /** Sends a peer message (category `peer`) to another device of the same account; resolves like `send`. */
  sendPeer(companion: number, message: proto.IMessage): Promise<string>
  /** Writes any other stanza, after the sends before it. */
  submit(stanza: Stanza): Promise<void>
  /** Loses all sessions and sender keys, as a phone restored from an old backup has; identity and prekeys stay. */
  loseSessions(): Promise<void>
  /** Resolves when all stanzas and sends given so far are worked off. */
  idle(): Promise<void>
}

export interface VirtualDeviceOptions {
  /** called for every message that could be read, once per id, after its receipt; `stanza` is what came */
  onMessage?: (message: Received, stanza: Stanza) => void
  /** called for every stanza that is neither a message nor a receipt: presence, chatstate, notifications… */
  onOther?: (stanza: Stanza) => void
  /** whether delivery receipts are sent; asked for each message */
  receipts?: () => boolean
  /** makes the ids of messages that are sent without one */
  newId?: () => string
  /** what to do with failures that are nobody's; the default prints them */
  onError?: (error: unknown) => void
  /** raw identity key pair of a linked device; device 0 always has its account's primary identity */
  identity?: { publicKey: Buffer; privateKey: Buffer }
}

/** A sender gives up resending after this many tries, and a recipient asking */
const MAX_RETRIES = 5
/** Sent messages are kept for resends, up to this many */
const KEPT = 5_000

const MARKS: Record<string, Mark> = {
  delivered: 'delivered',
  inactive: 'delivered',
  read: 'read',
  played: 'played',
}

/**
 * Puts a device of `account` into service whose Signal side lives in this process: it publishes its keys, takes
 * what the server delivers, decrypts, receipts, asks for what it could not read and resends what others could not.
 */
export function createVirtualDevice(
  port: ServerPort,
  account: Account,
  id = 0,
  options: VirtualDeviceOptions = {},
): VirtualDevice {
  const device: Device = account.devices.get(id) ?? {
    account,
    id,
    keys: undefined,
    deviceIdentity: undefined,
    deliver: undefined,
  }
  const identity = id === 0 ? account.primary : options.identity
  if (!identity) throw new Error('A linked device needs an identity of its own')
  const endpoint = createEndpoint(port, device, identity)
  const outgoing = createOutgoing(endpoint)
  const journal = createJournal()
  const lane = createLane()
  const kept = new Map<string, { to: string; message: proto.IMessage }>()
  const retries = new Map<string, number>()
  const { newId = randomId, receipts = () => true, onError = console.error } = options

  function submit(stanza: Stanza): void {
    port.submit(device, stanza)
  }

  async function takeMessage(stanza: Stanza): Promise<void> {
    const { id = '' } = stanza.attrs
    let opened: Awaited<ReturnType<typeof openMessage>>
    try {
      opened = await openMessage(endpoint, stanza)
    } catch (error) {
      return notReadable(stanza, error)
    }
    const { author, from, chat, message } = opened
    const content = { type: contentType(message), text: contentText(message) }
    const received = { id, from, chat, own: author.own, asked: retries.get(id) ?? 0, ...content }
    retries.delete(id)
    const news = journal.arrived(author.address, isPlainText(message) ? received : { ...received, message })
    if (receipts()) submit(deliveryReceipt(stanza, author.own))
    if (news) options.onMessage?.(news, stanza)
  }

  /** A repeat is receipted again, since its first receipt may not have arrived; anything else is asked for again. */
  function notReadable(stanza: Stanza, error: unknown): void {
    const { id = '' } = stanza.attrs
    const { author } = envelope(endpoint, stanza)
    if (isRepeat(error) && journal.repeated(author.address, id)) {
      if (receipts()) submit(deliveryReceipt(stanza, author.own))
      return
    }
    journal.failed(id, error instanceof Error ? error.message : String(error))
    const count = (retries.get(id) ?? 0) + 1
    if (count > MAX_RETRIES) return
    retries.set(id, count)
    const { store } = endpoint
    const keys = count > 1 ? keysNode(store.bundle, device.deviceIdentity) : undefined
    submit(retryReceipt(stanza, count, store.bundle.registrationId, keys))
  }

  async function takeReceipt(stanza: Stanza): Promise<void> {
    const { type = 'delivered', id = '', from = '', participant } = stanza.attrs
    if (type === 'retry') return resend(id, participant ?? from, stanza)
    const mark = MARKS[type]
    if (mark) for (const id of receiptIds(stanza)) journal.mark(id, mark)
  }

  async function resend(id: string, requester: string, receipt: Stanza): Promise<void> {
    const original = kept.get(id)
    const retry = readRetry(receipt)
    if (!original || retry.count > MAX_RETRIES) return
    const stanza = await outgoing.again(requester, original.to, id, original.message, retry)
    if (!stanza) return
    journal.resent(id)
    submit(stanza)
  }

  async function take(stanza: Stanza): Promise<void> {
    if (stanza.tag === 'message') return takeMessage(stanza)
    if (stanza.tag === 'receipt') return takeReceipt(stanza)
    if (stanza.tag === 'ack' && stanza.attrs.class === 'message') {
      return journal.mark(stanza.attrs.id ?? '', 'acked', stanza.attrs.error)
    }
    options.onOther?.(stanza)
  }

  device.deliver = (stanza) => {
    lane.run(() => take(stanza)).catch(onError)
  }
  account.devices.set(id, device)

  return {
    device,
    journal,
    send(to, message, { id = newId() } = {}) {
      return lane.run(async () => {
        const write = to.endsWith('@g.us') ? outgoing.toGroup : outgoing.toPerson
        const stanza = await write(to, id, message)
        addBounded(kept, id, { to, message }, KEPT)
        journal.left(id, to)
        submit(stanza)
        return id
      })
    },
    sendPeer(companion, message) {
      return lane.run(async () => {
        const target = account.devices.get(companion)
        if (!target) throw new Error(`${account.pn} has no device ${companion}`)
        const id = newId()
        const stanza = await outgoing.toCompanion(target, id, message)
        submit(stanza)
        return id
      })
    },
    submit: (stanza) => lane.run(async () => submit(stanza)),
    loseSessions: () =>
      lane.run(async () => {
        endpoint.store.loseSessions()
        endpoint.groups.loseKeys()
      }),
    idle: () => lane.idle(),
  }
}

/** An id as WhatsApp clients make them. */
function randomId(): string {
  return `3EB0${randomBytes(9).toString('hex').toUpperCase()}`
}
