/** The rows of messages that the API accepts. */
import { randomBytes } from 'node:crypto'
import type { Content, ReplyContext } from '@palomar/session-node/contract'
import type { QueryConfig } from 'pg'
import { validate as isUuid } from 'uuid'
import { prepared, type Queryable } from '../db/database.ts'
import { postgresJson } from '../events/postgres-json.ts'
import type { Conversation } from './conversations.ts'
import type { MessageRow } from './message-view.ts'
import type { Sender } from './outbound-look-up.ts'

export interface Quoted {
  accountId: string
  id: string
  waId: string
  author: string
  from: string | null
}

const quoted = prepared<Quoted>(
  'outbound_quoted',
  `select m.account_id as "accountId", m.id, m.wa_id as "waId", m.author,
     case m.author when 'me' then null when '' then c.jid else m.author end as "from"
   from message m join conversation c on c.id = m.conversation_id
   where m.account_id = any($1::uuid[]) and (m.wa_id = any($2::text[]) or m.id = any($3::uuid[]))`,
)

/** The messages that are answered, by the id or the wa_id that the caller gave. */
export function readQuoted(db: Queryable, accountIds: string[], ids: string[]): Promise<Quoted[]> {
  return quoted(db, [accountIds, ids, ids.filter((id) => isUuid(id))])
}

/** WhatsApp's ids are chosen by the sender: 3EB0, as its web client does, and 18 random hex digits. */
export function newWaId(): string {
  return `3EB0${randomBytes(9).toString('hex').toUpperCase()}`
}

export interface NewOutbound {
  id: string
  sender: Sender
  conversation: Conversation
  content: Content
  context: ReplyContext | null
  metadata: Record<string, unknown> | null
  correlationId: string | null
  sendAt: Date | null
}

// The conversation moves to the top with it. Ordered, so that two bulks lock in the same order.
const insert = prepared(
  'outbound_insert',
  `with new as (
     insert into message (id, tenant_id, account_id, conversation_id, wa_id, direction, origin, author, type, content,
       context, metadata, status, correlation_id, send_at, timestamp)
     select u.id, u.tenant_id, u.account_id, u.conversation_id, u.wa_id, 'outbound', 'api', 'me', u.type, u.content,
       u.context, u.metadata, 'pending', u.correlation_id, u.send_at, now()
     from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[],
         $9::jsonb[], $10::uuid[], $11::timestamptz[])
       as u(id, tenant_id, account_id, conversation_id, wa_id, type, content, context, metadata, correlation_id, send_at)
   ), due as (
     select id from conversation where id = any($4::uuid[]) order by id for no key update
   )
   update conversation c set last_message_at = greatest(c.last_message_at, now()) from due where c.id = due.id`,
)

/** The statement that stores them as pending, to be sent with the commit. */
export function insertingOutbound(rows: readonly MessageRow[]): QueryConfig {
  return insert.with([
    rows.map(({ id }) => id),
    rows.map(({ tenantId }) => tenantId),
    rows.map(({ accountId }) => accountId),
    rows.map(({ conversationId }) => conversationId),
    rows.map(({ waId }) => waId),
    rows.map(({ content }) => content.type),
    rows.map(({ content }) => postgresJson(content)),
    rows.map(({ context }) => context && postgresJson(context)),
    rows.map(({ metadata }) => metadata && postgresJson(metadata)),
    rows.map(({ correlationId }) => correlationId),
    rows.map(({ sendAt }) => sendAt),
  ])
}

/** A message as it will be stored. */
export function pendingRow(draft: NewOutbound): MessageRow {
  const { sender, conversation } = draft
  return {
    id: draft.id,
    tenantId: sender.tenantId,
    accountId: sender.accountId,
    conversationId: conversation.id,
    waId: newWaId(),
    direction: 'outbound',
    origin: 'api',
    author: 'me',
    senderPn: null,
    senderLid: null,
    pushName: null,
    content: draft.content,
    context: draft.context,
    metadata: draft.metadata,
    status: 'pending',
    error: null,
    correlationId: draft.correlationId,
    timestamp: sender.now,
    createdAt: sender.now,
    sendAt: draft.sendAt,
    sentAt: null,
    deliveredAt: null,
    readAt: null,
    playedAt: null,
    failedAt: null,
    chatJid: conversation.jid,
    chatPn: conversation.pn,
    chatLid: conversation.lid,
    accountPhone: sender.phone,
  }
}
