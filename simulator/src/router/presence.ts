import { stanza } from '../codec/stanza.ts'
import type { Directory } from '../directory/directory.ts'
import { deviceJid, personJid } from '../jid.ts'
import type { Account, Addressing, Device, Stanza } from '../types.ts'
import type { Deliver } from './messages.ts'

/** Who is available, who wants to know it, and who is typing. Nothing here is kept for later. */
export class Presence {
  readonly #directory: Directory
  readonly #available = new Map<Account, Set<Device>>()
  readonly #subscribers = new Map<Account, Set<Device>>()
  readonly #deliver: Deliver

  constructor(directory: Directory, deliver: Deliver) {
    this.#directory = directory
    this.#deliver = deliver
  }

  /** A client's `presence`: a subscription, or its own availability; without a type it is just a name. */
  handle(from: Device, { attrs }: Stanza, mode: Addressing): void {
    if (attrs.type === 'subscribe') this.#subscribe(from, attrs.to, mode)
    else if (attrs.type === 'available') this.#set(from, true, mode)
    else if (attrs.type === 'unavailable') this.#set(from, false, mode)
    // a phone's name is its owner's business; linked clients announce the name that they were given
    else if (attrs.name && from.id === 0) from.account.name = attrs.name
  }

  /** A device that is gone is not available, and hears nothing more. */
  forget(device: Device, mode: Addressing): void {
    for (const subscribers of this.#subscribers.values()) subscribers.delete(device)
    this.#set(device, false, mode)
  }

  chatstate(from: Device, { attrs, content }: Stanza, mode: Addressing): void {
    const state = stanza('chatstate', { from: deviceJid(from, mode) }, content)
    for (const device of this.#directory.devicesOf(attrs.to ?? '')) this.#deliver(device, state)
  }

  #subscribe(from: Device, to: string | undefined, mode: Addressing): void {
    const account = this.#directory.find(to)
    if (!account) return
    const subscribers = this.#subscribers.get(account)
    if (subscribers) subscribers.add(from)
    else this.#subscribers.set(account, new Set([from]))
    this.#deliver(from, this.#notice(account, mode))
  }

  #set(device: Device, available: boolean, mode: Addressing): void {
    const { account } = device
    const devices = this.#available.get(account) ?? new Set<Device>()
    const before = devices.size > 0
    if (available) devices.add(device)
    else devices.delete(device)
    this.#available.set(account, devices)
    if (before === devices.size > 0) return
    const notice = this.#notice(account, mode)
    for (const subscriber of this.#subscribers.get(account) ?? []) this.#deliver(subscriber, notice)
  }

  #notice(account: Account, mode: Addressing): Stanza {
    const available = (this.#available.get(account)?.size ?? 0) > 0
    const from = personJid(account, mode)
    return stanza('presence', {
      from,
      type: available ? 'available' : 'unavailable',
      ...(available ? {} : { last: 'deny' }),
    })
  }
}
