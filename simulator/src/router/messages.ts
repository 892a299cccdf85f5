import { child, children } from '../codec/stanza.ts'
import type { Directory } from '../directory/directory.ts'
import type { Account, Addressing, Device, Stanza } from '../types.ts'
import { commonAttrs, contentFor, encsOf, message, ownCopyAttrs, senderAttrs } from './envelope.ts'

export type Deliver = (device: Device, stanza: Stanza) => void

/** Hands a one-to-one message to each device that it was encrypted for. */
export function routeMessage(
  directory: Directory,
  mode: Addressing,
  from: Device,
  sent: Stanza,
  deliver: Deliver,
): void {
  // status posts and newsletters have readers that only WhatsApp knows
  if (!directory.find(sent.attrs.to)) return
  const common = commonAttrs(sent, from)
  const participants = child(sent, 'participants')
  if (!participants) {
    routeDirect(directory, mode, from, sent, common, deliver)
    return
  }
  const forPeer = { ...common, ...senderAttrs(from, mode) }
  const forOwn = {
    ...common,
    ...ownCopyAttrs(from, mode, directory.find(sent.attrs.to), sent.attrs.to ?? ''),
  }
  for (const each of children(participants)) {
    const device = directory.device(each.attrs.jid)
    if (!device || device === from) continue
    const attrs = device.account === from.account ? forOwn : forPeer
    deliver(device, message(attrs, contentFor(sent, encsOf(each))))
  }
}

/** Peer messages to the own phone or to a companion, and resends to a single device. */
function routeDirect(
  directory: Directory,
  mode: Addressing,
  from: Device,
  sent: Stanza,
  common: Record<string, string | undefined>,
  deliver: Deliver,
): void {
  const device = directory.device(sent.attrs.to)
  if (!device) return
  deliver(
    device,
    message(
      { ...common, ...directAttrs(directory, mode, from, device.account, sent) },
      contentFor(sent, encsOf(sent)),
    ),
  )
}

function directAttrs(
  directory: Directory,
  mode: Addressing,
  from: Device,
  to: Account,
  { attrs: { category, recipient } }: Stanza,
): Record<string, string | undefined> {
  // peer traffic is between devices of one person, and clients know themselves by number first
  if (category === 'peer') return senderAttrs(from, 'pn')
  if (to === from.account && recipient !== undefined) {
    return ownCopyAttrs(from, mode, directory.find(recipient), recipient)
  }
  return senderAttrs(from, mode)
}
