import { jidDecode, jidNormalizedUser } from '@whiskeysockets/baileys'
import type { Address } from '../../contract/index.ts'
import type { Identities } from './identities.ts'

const PN = /^\d{5,20}$/
const LID = /^\d{5,24}$/

/** the JID without its device part; the empty string when it is none */
export const bare = (jid: string | null | undefined): string => (jid ? jidNormalizedUser(jid) : '')

/** An address as the contract has it, from one or two of a person's names, and from what else is known of him. */
export const addressOf = (
  jid: string | null | undefined,
  alternative?: string | null,
  identities?: Pick<Identities, 'lidOf' | 'pnOf'>,
): Address => {
  const names = [userOf(jid), userOf(alternative)]
  const pn = names.find((name) => name?.kind === 'pn')?.user
  const lid = names.find((name) => name?.kind === 'lid')?.user
  const knownPn = pn ?? (lid && identities?.pnOf(lid))
  const knownLid = lid ?? (pn && identities?.lidOf(pn))
  return {
    jid: bare(jid),
    ...(knownPn === undefined ? {} : { pn: knownPn }),
    ...(knownLid === undefined ? {} : { lid: knownLid }),
  }
}

const userOf = (jid: string | null | undefined): { kind: 'pn' | 'lid'; user: string } | undefined => {
  const decoded = jid ? jidDecode(jid) : undefined
  if (!decoded) return undefined
  switch (decoded.server) {
    case 's.whatsapp.net':
    case 'c.us':
    case 'hosted':
      return PN.test(decoded.user) ? { kind: 'pn', user: decoded.user } : undefined
    case 'lid':
    case 'hosted.lid':
      return LID.test(decoded.user) ? { kind: 'lid', user: decoded.user } : undefined
    default:
      return undefined
  }
}
