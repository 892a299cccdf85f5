import { child, childBytes, children, stanza } from '../codec/stanza.ts'
import type { Counters } from '../counters.ts'
import type { Directory } from '../directory/directory.ts'
import { LinkedDevice } from '../directory/linked-device.ts'
import type { Random } from '../faults/random.ts'
import { fanOut, groupReceipt } from '../groups/fan-out.ts'
import { Groups } from '../groups/groups.ts'
import { deviceJid, personJid, SERVER } from '../jid.ts'
import type { Account, Addressing, Device, Stanza } from '../types.ts'
import { nowSeconds } from './envelope.ts'
import { Mailbox } from './mailbox.ts'
import { routeMessage } from './messages.ts'
import { Presence } from './presence.ts'
import { routeReceipt } from './receipts.ts'
import { newId } from './stanza-id.ts'

/** classes that are kept until the client confirms them */
const CONFIRMED = new Set(['message', 'receipt', 'notification'])

/** smax-invalid: the server's word for a message it will not take */
const INVALID = 479
const NOT_A_MEMBER = 403

/** Carries stanzas between devices: now when they are here, later when they are not. */
export class Router {
  readonly presence: Presence
  readonly groups: Groups
  addressing: Addressing
  readonly #directory: Directory
  readonly #counters: Counters
  readonly #mailboxes = new Map<Device, Mailbox>()
  readonly #watchers = new Map<Account, Set<Account>>()

  constructor(directory: Directory, counters: Counters, addressing: Addressing, random: Random) {
    this.#directory = directory
    this.#counters = counters
    this.addressing = addressing
    this.presence = new Presence(directory, this.deliver)
    this.groups = new Groups(random, this.deliver)
  }

  /** A linked device's unconfirmed stanzas. */
  mailbox(device: LinkedDevice): Mailbox {
    const known = this.#mailboxes.get(device)
    if (known) return known
    const mailbox = new Mailbox()
    this.#mailboxes.set(device, mailbox)
    return mailbox
  }

  /** To a device now, or into its mailbox for its next login. Devices without a client have no mailbox. */
  readonly deliver = (device: Device, stanza: Stanza): void => {
    if (device instanceof LinkedDevice && CONFIRMED.has(stanza.tag)) this.mailbox(device).add(stanza)
    device.deliver?.(stanza)
  }

  /** The error code that a message's ack must carry, undefined when the message can be routed. */
  refusal(from: LinkedDevice, message: Stanza): number | undefined {
    if (
      message.attrs.to?.endsWith('@g.us') &&
      !this.groups.find(message.attrs.to)?.members.has(from.account)
    ) {
      return NOT_A_MEMBER
    }
    const encs = [message, ...children(child(message, 'participants'))].flatMap(children)
    if (!encs.some((node) => node.tag === 'enc' && node.attrs.type === 'pkmsg')) return undefined
    if (childBytes(message, 'device-identity')?.equals(from.deviceIdentity)) return undefined
    this.#counters.violation(
      'device-identity',
      deviceJid(from, 'pn'),
      'pkmsg without the identity it was linked with',
    )
    return INVALID
  }

  /** A stanza that a device writes, from its socket or in this process. `iq` is not for the router. */
  readonly submit = (from: Device, sent: Stanza): void => {
    switch (sent.tag) {
      case 'message':
        // a client's session has answered already, for it can also refuse
        if (!(from instanceof LinkedDevice)) from.deliver?.(messageAck(sent))
        this.#message(from, sent)
        break
      case 'receipt':
        if (from instanceof LinkedDevice) this.mailbox(from).settleReceipt(sent)
        this.#receipt(from, sent)
        break
      case 'ack':
        if (from instanceof LinkedDevice) this.mailbox(from).settleAck(sent)
        break
      case 'presence':
        this.presence.handle(from, sent, this.addressing)
        break
      case 'chatstate':
        this.presence.chatstate(from, sent, this.addressing)
        break
    }
  }

  /** Remembers that an account has looked at another, so that it hears of new and lost devices. */
  readonly watch = (subject: Account, watcher: Account): void => {
    const watchers = this.#watchers.get(subject)
    if (watchers) watchers.add(watcher)
    else this.#watchers.set(subject, new Set([watcher]))
  }

  /** Tells everybody who cares that an account's devices have changed. */
  announceDevice(device: LinkedDevice, change: 'add' | 'remove'): void {
    const { account } = device
    const audience = new Set(this.#watchers.get(account)).add(account)
    for (const watcher of audience) {
      for (const each of watcher.devices.values()) {
        if (each !== device && each instanceof LinkedDevice)
          this.deliver(each, this.#deviceNotice(device, change))
      }
    }
  }

  /** A `notification` from the server itself. */
  notify(device: Device, type: string, content: Stanza[]): void {
    this.deliver(
      device,
      stanza('notification', { id: newId(), from: SERVER, type, t: nowSeconds() }, content),
    )
  }

  /** Drops what an unlinked device had waiting. */
  forget(device: LinkedDevice): void {
    this.#mailboxes.delete(device)
    this.presence.forget(device, this.addressing)
  }

  #message(from: Device, sent: Stanza): void {
    const group = this.groups.find(sent.attrs.to)
    if (group) fanOut(this.#directory, group, from, sent, this.deliver)
    else routeMessage(this.#directory, this.addressing, from, sent, this.deliver)
  }

  #receipt(from: Device, sent: Stanza): void {
    const group = this.groups.find(sent.attrs.to)
    if (group) groupReceipt(this.#directory, group, from, sent, this.deliver)
    else routeReceipt(this.#directory, this.addressing, from, sent, this.deliver)
  }

  #deviceNotice(device: LinkedDevice, change: 'add' | 'remove'): Stanza {
    const mode = this.addressing
    const jid = deviceJid(device, mode)
    const from = personJid(device.account, mode)
    return stanza('notification', { id: newId(), from, type: 'devices', t: nowSeconds() }, [
      stanza(change, {}, [stanza('device', { jid, 'key-index': String(device.keyIndex) })]),
    ])
  }
}

const messageAck = ({ attrs: { id, to } }: Stanza): Stanza =>
  stanza('ack', { class: 'message', id, from: to, t: nowSeconds() })
