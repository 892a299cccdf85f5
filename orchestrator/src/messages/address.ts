/** Addresses as the protocol names chats, seen as a store needs them. */
import type { Address } from '@palomar/session-node/contract'

export type ChatKind = 'person' | 'group' | 'newsletter' | 'status' | 'broadcast'

export function kindOf(jid: string): ChatKind {
  if (jid === 'status@broadcast') return 'status'
  switch (jid.slice(jid.lastIndexOf('@') + 1)) {
    case 'g.us':
      return 'group'
    case 'newsletter':
      return 'newsletter'
    case 'broadcast':
      return 'broadcast'
    default:
      return 'person'
  }
}

/** Of a person, with the phone number and the LID that the JID itself says; of other chats the JID alone. */
export function known(address: Address): Address {
  const { jid } = address
  if (kindOf(jid) !== 'person') return { jid }
  const user = jid.slice(0, jid.lastIndexOf('@'))
  const server = jid.slice(jid.lastIndexOf('@') + 1)
  return {
    jid,
    pn: address.pn ?? (server === 's.whatsapp.net' ? user : undefined),
    lid: address.lid ?? (server === 'lid' ? user : undefined),
  }
}

/** How an address is shown to callers, and taken back from them: the phone number where it is known, else the JID. */
export function shown({ jid, pn, lid }: { jid: string; pn?: string | null; lid?: string | null }): string {
  return pn ?? (lid ? `${lid}@lid` : jid)
}
