import type { BinaryNode } from '@whiskeysockets/baileys'
import type { Address, NodeEventInput } from '../../contract/index.ts'
import { addressOf, bare } from './addresses.ts'
import type { Identities } from './identities.ts'

export type ReceiptReportInput = Extract<NodeEventInput, { type: 'receipt' }>

/** receipt types that tell of our messages; the others are for our own devices or for Signal */
const statuses = new Map<string, ReceiptReportInput['status']>([
  ['', 'delivered'],
  ['read', 'read'],
  ['played', 'played'],
])

/**
 * Ticks, from the stanza itself: Baileys merges and drops the events that it makes of it. A second name of the chat is
 * told once: the orchestrator would have to look it up each time.
 */
export const receiptReportOf = (
  { attrs, content }: BinaryNode,
  { me, identities }: { me: Address; identities: Pick<Identities, 'learn'> },
): ReceiptReportInput | undefined => {
  const status = statuses.get(attrs.type ?? '')
  if (!status || !attrs.from || !attrs.id) return undefined
  // our own other devices read as well, which is no tick
  if (isMe(bare(attrs.participant ?? attrs.from), me)) return undefined
  const reader = attrs.participant ? addressOf(attrs.participant) : undefined
  const said = addressOf(attrs.from, attrs.sender_pn ?? attrs.sender_lid)
  const { jid, pn, lid } = said
  const chat = pn !== undefined && lid !== undefined && !identities.learn(pn, lid) ? { jid } : said
  const time = Number(attrs.t)
  return {
    type: 'receipt',
    ids: [...new Set([attrs.id, ...listedIds(content)])],
    status,
    chat,
    ...(reader ? { reader } : {}),
    timestamp: Number.isSafeInteger(time) && time > 0 ? time : Math.floor(Date.now() / 1000),
  }
}

const listedIds = (content: BinaryNode['content']): string[] => {
  if (!Array.isArray(content)) return []
  return content
    .filter(({ tag }) => tag === 'list')
    .flatMap((list) => (Array.isArray(list.content) ? list.content : []))
    .flatMap((item) => (item.attrs.id ? [item.attrs.id] : []))
}

const isMe = (jid: string, me: Address) =>
  (me.pn !== undefined && jid === `${me.pn}@s.whatsapp.net`) ||
  (me.lid !== undefined && jid === `${me.lid}@lid`)
