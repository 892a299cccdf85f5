/** What the server writes around a message before it hands it on. */
import { child, children, stanza } from '../codec/stanza.ts'
import { deviceJid, other, personJid } from '../jid.ts'
import type { Account, Addressing, Device, Stanza } from '../types.ts'

/** children that are for the server alone */
const SERVER_ONLY = new Set(['participants', 'enc', 'device-identity', 'reporting', 'tctoken', 'cstoken'])

export const nowSeconds = (): string => String(Math.floor(Date.now() / 1000))

/** Attributes that every delivered message has, and that name its sender both ways. */
export function senderAttrs(from: Device, mode: Addressing): Record<string, string> {
  return {
    from: deviceJid(from, mode),
    [mode === 'pn' ? 'sender_lid' : 'sender_pn']: personJid(from.account, other(mode)),
    addressing_mode: mode,
  }
}

/** Attributes of a copy for the sender's own devices: `recipient` is the chat. */
export function ownCopyAttrs(
  from: Device,
  mode: Addressing,
  chat: Account | undefined,
  to: string,
): Record<string, string | undefined> {
  return {
    from: deviceJid(from, mode),
    recipient: chat ? personJid(chat, mode) : to,
    [mode === 'pn' ? 'peer_recipient_lid' : 'peer_recipient_pn']: chat && personJid(chat, other(mode)),
    addressing_mode: mode,
  }
}

/** What is left of the sent attributes after the addressing is replaced. */
export function commonAttrs(sent: Stanza, from: Device): Record<string, string | undefined> {
  const { id, type, edit, category } = sent.attrs
  return { id, type, edit, category, notify: from.account.name, t: nowSeconds() }
}

/** the ciphertexts right under it */
export const encsOf = (node: Stanza): Stanza[] => children(node).filter((each) => each.tag === 'enc')

/** Content for one device: its own ciphertexts, the sender's identity when a session is new, and the extras. */
export function contentFor(sent: Stanza, encs: Stanza[]): Stanza[] {
  const content = [...encs]
  const identity = encs.some((enc) => enc.attrs.type === 'pkmsg') ? child(sent, 'device-identity') : undefined
  if (identity) content.push(identity)
  for (const extra of children(sent)) if (!SERVER_ONLY.has(extra.tag)) content.push(extra)
  return content
}

export const message = (attrs: Record<string, string | undefined>, content: Stanza[]): Stanza =>
  stanza('message', attrs, content)
