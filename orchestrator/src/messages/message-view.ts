/** From a stored message to what callers see. */
import type { Content, ReplyContext } from '@palomar/session-node/contract'
import { shown } from './address.ts'
import type { Message } from './message-schemas.ts'
import type { Progress } from './status.ts'

/** A message's row with what its conversation and account add to it. */
export interface MessageRow extends Progress {
  id: string
  tenantId: string
  accountId: string
  conversationId: string
  waId: string
  direction: 'inbound' | 'outbound'
  origin: Message['origin']
  /** 'me', '' for the peer of a 1:1 chat, the bare JID in a group */
  author: string
  senderPn: string | null
  senderLid: string | null
  pushName: string | null
  content: Content
  context: ReplyContext | null
  metadata: Record<string, unknown> | null
  correlationId: string | null
  timestamp: Date
  createdAt: Date
  sendAt: Date | null
  chatJid: string
  chatPn: string | null
  chatLid: string | null
  accountPhone: string | null
}

/** to be used with `messageTables` */
export const messageColumns = `m.id, m.tenant_id as "tenantId", m.account_id as "accountId",
  m.conversation_id as "conversationId", m.wa_id as "waId", m.direction, m.origin, m.author,
  m.sender_pn as "senderPn", m.sender_lid as "senderLid", m.push_name as "pushName", m.content, m.context,
  m.metadata, m.status, m.error, m.correlation_id as "correlationId", m.timestamp, m.created_at as "createdAt",
  m.send_at as "sendAt", m.sent_at as "sentAt", m.delivered_at as "deliveredAt", m.read_at as "readAt",
  m.played_at as "playedAt", m.failed_at as "failedAt",
  c.jid as "chatJid", c.pn as "chatPn", c.lid as "chatLid", a.phone as "accountPhone"`

export const messageTables =
  'message m join conversation c on c.id = m.conversation_id join account a on a.id = m.account_id'

export function viewMessage(row: MessageRow): Message {
  const chat = shown({ jid: row.chatJid, pn: row.chatPn, lid: row.chatLid })
  const { type, ...said } = row.content
  return {
    id: row.id,
    wa_id: row.waId,
    account_id: row.accountId,
    conversation_id: row.conversationId,
    direction: row.direction,
    origin: row.origin,
    from: row.author === 'me' ? row.accountPhone : row.author === '' ? chat : sender(row),
    from_name: row.pushName,
    to: row.author === '' ? row.accountPhone : chat,
    type,
    ...said,
    context: row.context,
    metadata: row.metadata,
    status: row.status,
    // Until it has failed, the row's is a note of an earlier try.
    error: row.status === 'failed' ? row.error : null,
    correlation_id: row.correlationId,
    timestamp: row.timestamp.toISOString(),
    created_at: row.createdAt.toISOString(),
    send_at: iso(row.sendAt),
    sent_at: iso(row.sentAt),
    delivered_at: iso(row.deliveredAt),
    read_at: iso(row.readAt),
    played_at: iso(row.playedAt),
    failed_at: iso(row.failedAt),
  }
}

const sender = (row: MessageRow) => shown({ jid: row.author, pn: row.senderPn, lid: row.senderLid })
const iso = (time: Date | null) => time?.toISOString() ?? null
