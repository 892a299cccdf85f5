import { newKeyPair } from '../curve.ts'
import type { Random } from '../faults/random.ts'
import { parseJid } from '../jid.ts'
import { Refusal } from '../refusal.ts'
import type { Account, Device } from '../types.ts'
import { LinkedDevice } from './linked-device.ts'

/** WhatsApp lets a phone link this many devices */
const MAX_LINKED = 4
const FIRST_NUMBER = 5511900000001n
const PHONE = /^\d{6,15}$/

/** Every account and device, found by phone number or by LID. */
export class Directory {
  readonly #byPn = new Map<string, Account>()
  readonly #byLid = new Map<string, Account>()
  /** device ids are not given twice, so that an unlinked client can never be taken for a new one */
  readonly #nextDevice = new Map<Account, number>()
  readonly #random: Random
  #nextNumber = FIRST_NUMBER

  constructor(random: Random) {
    this.#random = random
  }

  /** The account of these digits, made when it is new; without digits always a new one. 400 on digits that are none. */
  account(phone: string | undefined, name: string | undefined): Account {
    if (phone !== undefined && !PHONE.test(phone)) throw new Refusal(400, `not a phone number: ${phone}`)
    const known = phone === undefined ? undefined : this.#byPn.get(phone)
    if (known) {
      if (name !== undefined) known.name = name
      return known
    }
    const pn = phone ?? this.#freeNumber()
    const account: Account = {
      pn,
      lid: this.#freeLid(),
      name: name ?? pn,
      primary: newKeyPair(),
      devices: new Map(),
    }
    account.devices.set(0, { account, id: 0, keys: undefined, deviceIdentity: undefined, deliver: undefined })
    this.#byPn.set(pn, account)
    this.#byLid.set(account.lid, account)
    return account
  }

  /** The account behind a JID of either kind, bare or with a device. */
  find(jid: string | undefined): Account | undefined {
    const parts = parseJid(jid)
    if (!parts) return undefined
    if (parts.server === 'lid') return this.#byLid.get(parts.user)
    if (parts.server === 's.whatsapp.net' || parts.server === 'c.us') return this.#byPn.get(parts.user)
    return undefined
  }

  byPhone(phone: string): Account | undefined {
    return this.#byPn.get(phone)
  }

  /** The one device a JID names; a bare JID names the phone. */
  device(jid: string | undefined): Device | undefined {
    return this.find(jid)?.devices.get(parseJid(jid)?.device ?? 0)
  }

  devicesOf(jid: string): Device[] {
    const account = this.find(jid)
    return account ? [...account.devices.values()] : []
  }

  /** Linked devices that an admin's parameter means: a device JID, a bare JID, or digits. 404 when there is none. */
  linkedBy(jidOrPhone: string): LinkedDevice[] {
    const jid = jidOrPhone.includes('@') ? jidOrPhone : `${jidOrPhone}@s.whatsapp.net`
    const id = parseJid(jid)?.device
    const found = this.devicesOf(jid).filter(
      (each): each is LinkedDevice => each instanceof LinkedDevice && (id === undefined || each.id === id),
    )
    if (found.length === 0) throw new Refusal(404, `no linked device: ${jidOrPhone}`)
    return found
  }

  /** Takes the id for a device about to be linked. 409 when the phone has its full number of them. */
  reserveDeviceId(account: Account): number {
    if (account.devices.size > MAX_LINKED)
      throw new Refusal(409, `${account.pn} has ${MAX_LINKED} linked devices`)
    const id = this.#nextDevice.get(account) ?? 1
    this.#nextDevice.set(account, id + 1)
    return id
  }

  accounts(): Iterable<Account> {
    return this.#byPn.values()
  }

  #freeNumber(): string {
    while (this.#byPn.has(String(this.#nextNumber))) this.#nextNumber++
    return String(this.#nextNumber++)
  }

  #freeLid(): string {
    for (;;) {
      const lid = String(100_000_000_000_000 + Math.floor(this.#random() * 900_000_000_000_000))
      if (!this.#byLid.has(lid)) return lid
    }
  }
}
