import { stanza } from '../codec/stanza.ts'
import type { Directory } from '../directory/directory.ts'
import { LinkedDevice } from '../directory/linked-device.ts'
import { deviceJid, personJid } from '../jid.ts'
import type { Addressing, Device, Stanza } from '../types.ts'
import { nowSeconds } from './envelope.ts'
import type { Deliver } from './messages.ts'

/** receipts that concern one device of the sender, and name the device that they come from */
const TO_ONE_DEVICE = new Set(['retry', 'sender', 'peer_msg', 'hist_sync', 'server-error'])

/** Hands a one-to-one receipt to the devices that it tells something. */
export function routeReceipt(
  directory: Directory,
  mode: Addressing,
  from: Device,
  sent: Stanza,
  deliver: Deliver,
): void {
  const { to, type, recipient } = sent.attrs
  if (type !== undefined && TO_ONE_DEVICE.has(type)) {
    const device = directory.device(to)
    const chat = recipient === undefined ? undefined : inMode(directory, mode, recipient)
    if (device) deliver(device, forward(sent, { from: deviceJid(from, mode), type, recipient: chat }))
    return
  }
  if (type === 'read-self' || type === 'played-self') {
    const chat = to === undefined ? undefined : inMode(directory, mode, to)
    const notice = forward(sent, { from: deviceJid(from, mode), type, recipient: chat })
    for (const device of from.account.devices.values()) {
      if (device !== from && device instanceof LinkedDevice) deliver(device, notice)
    }
    return
  }
  const account = directory.find(to)
  if (!account) return
  const receipt = forward(sent, { from: personJid(from.account, mode), type: withoutPresence(type) })
  for (const device of account.devices.values()) deliver(device, receipt)
}

/** A reader that is not available has the message all the same: its sender sees a plain delivery. */
export const withoutPresence = (type: string | undefined): string | undefined =>
  type === 'inactive' ? undefined : type

/** The receipt as its reader gets it: the ids and children as sent, the addressing new. */
export const forward = (sent: Stanza, attrs: Record<string, string | undefined>): Stanza =>
  stanza('receipt', { id: sent.attrs.id, t: sent.attrs.t ?? nowSeconds(), ...attrs }, sent.content)

function inMode(directory: Directory, mode: Addressing, jid: string): string {
  const account = directory.find(jid)
  return account ? personJid(account, mode) : jid
}
