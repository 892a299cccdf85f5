import { child, children } from '../codec/stanza.ts'
import type { Directory } from '../directory/directory.ts'
import { deviceJid, other, personJid } from '../jid.ts'
import { commonAttrs, contentFor, encsOf, message } from '../router/envelope.ts'
import type { Deliver } from '../router/messages.ts'
import { forward, withoutPresence } from '../router/receipts.ts'
import type { Device, Stanza } from '../types.ts'
import type { Group } from './group.ts'

/** Hands a group message to every device of every member, each with the sender key if one came for it. */
export function fanOut(
  directory: Directory,
  group: Group,
  from: Device,
  sent: Stanza,
  deliver: Deliver,
): void {
  const mode = group.addressing
  const attrs = {
    ...commonAttrs(sent, from),
    from: group.jid,
    participant: deviceJid(from, mode),
    [mode === 'pn' ? 'participant_lid' : 'participant_pn']: personJid(from.account, other(mode)),
    addressing_mode: mode,
  }
  const forAll = encsOf(sent)
  if (sent.attrs.participant !== undefined) {
    const device = directory.device(sent.attrs.participant)
    if (device) deliver(device, message(attrs, contentFor(sent, forAll)))
    return
  }
  const keys = new Map<Device, Stanza[]>()
  for (const each of children(child(sent, 'participants'))) {
    const device = directory.device(each.attrs.jid)
    if (device) keys.set(device, encsOf(each))
  }
  for (const account of group.members.keys()) {
    for (const device of account.devices.values()) {
      // the sender key has to be read before what it opens
      if (device !== from)
        deliver(device, message(attrs, contentFor(sent, [...(keys.get(device) ?? []), ...forAll])))
    }
  }
}

/** Hands a receipt about a group's message to its author. */
export function groupReceipt(
  directory: Directory,
  group: Group,
  from: Device,
  sent: Stanza,
  deliver: Deliver,
): void {
  const { type, participant } = sent.attrs
  if (type === 'retry' || type === 'sender') {
    const author = directory.device(participant)
    const attrs = { from: group.jid, participant: deviceJid(from, group.addressing), type }
    if (author) deliver(author, forward(sent, attrs))
    return
  }
  const author = directory.find(participant)
  if (!author) return
  const reader = personJid(from.account, group.addressing)
  const receipt = forward(sent, { from: group.jid, participant: reader, type: withoutPresence(type) })
  for (const device of author.devices.values()) if (device !== from) deliver(device, receipt)
}
