import { jidDecode, jidEncode } from '@whiskeysockets/baileys'
import type { Account, Addressing, Device } from './types.ts'

export const SERVER = '@s.whatsapp.net'

/** Parts of a JID; device is undefined for a bare one. Undefined when the text is no JID. */
export function parseJid(
  jid: string | undefined,
): { user: string; server: string; device?: number } | undefined {
  const parts = jidDecode(jid)
  return parts && { user: parts.user, server: parts.server, device: parts.device }
}

export const other = (mode: Addressing): Addressing => (mode === 'pn' ? 'lid' : 'pn')

export const modeOf = (jid: string): Addressing => (jid.endsWith('@lid') ? 'lid' : 'pn')

/** A person's bare JID. */
export const personJid = (account: Account, mode: Addressing): string =>
  mode === 'lid' ? `${account.lid}@lid` : `${account.pn}@s.whatsapp.net`

/** A device's JID; the phone (device 0) has no suffix. */
export const deviceJid = ({ account, id }: Device, mode: Addressing): string =>
  mode === 'lid' ? jidEncode(account.lid, 'lid', id) : jidEncode(account.pn, 's.whatsapp.net', id)
