/** The rows of messages that the API accepts. */
import { randomBytes } from 'node:crypto'
import type { Address, Content, ReplyContext } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { prepared, type Queryable } from '../db/database.ts'
import { postgresJson } from '../events/postgres-json.ts'
import type { SessionState } from '../sessions/state-table.ts'
import type { Conversation } from './conversations.ts'
import { Identities, type Pair } from './identities.ts'
import type { MessageRow } from './message-view.ts'

export interface Sender {
  accountId: string
  phone: string | null
  /** of its session */
  state: SessionState
  identities: Identities
}

// With the recipients' identities, as each account knows them, in the same round trip.
const senders = prepared<Sender & { pairs: Pair[] | null }>(
  'outbound_senders',
  `select a.id as "accountId", a.phone, coalesce(s.state, 'created') as state,
     (select json_agg(json_build_object('pn', i.pn, 'lid', i.lid)) from identity i
      where i.account_id = a.id and (i.pn = any($3) or i.lid = any($4))) as pairs
   from account a left join session s on s.account_id = a.id
   where a.tenant_id = $1 and a.id = any($2::uuid[])`,
)

/** Those of the accounts that the tenant has, by id, each with what it knows of the recipients. */
export async function readSenders(
  db: Queryable,
  tenantId: string,
  accountIds: readonly string[],
  recipients: readonly Address[],
): Promise<Map<string, Sender>> {
  const pns = [...new Set(recipients.flatMap(({ pn }) => pn ?? []))]
  const lids = [...new Set(recipients.flatMap(({ lid }) => lid ?? []))]
  const rows = await senders(db, [tenantId, [...new Set(accountIds)], pns, lids])
  return new Map(
    rows.map(({ pairs, ...row }) => [row.accountId, { ...row, identities: new Identities(pairs ?? []) }]),
  )
}

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
   where m.account_id = any($1::uuid[]) and (m.wa_id = any($2::text[]) or m.id::text = any($2::text[]))`,
)

/** The messages that are answered, by the id or the wa_id that the caller gave. */
export function readQuoted(db: Queryable, accountIds: string[], ids: string[]): Promise<Quoted[]> {
  return quoted(db, [accountIds, ids])
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

// The conversation moves to the top in the same round trip. Ordered, so that two bulks lock in the same order.
const insert = prepared<{ at: Date }>(
  'outbound_insert',
  `with new as (
     insert into message (id, tenant_id, account_id, conversation_id, wa_id, direction, origin, author, type, content,
       context, metadata, status, correlation_id, send_at, timestamp)
     select u.id, $1, u.account_id, u.conversation_id, u.wa_id, 'outbound', 'api', 'me', u.type, u.content,
       u.context, u.metadata, 'pending', u.correlation_id, u.send_at, now()
     from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[], $9::jsonb[],
         $10::uuid[], $11::timestamptz[])
       as u(id, account_id, conversation_id, wa_id, type, content, context, metadata, correlation_id, send_at)
   ), due as (
     select id from conversation where id = any($4::uuid[]) order by id for no key update
   ), touched as (
     update conversation c set last_message_at = greatest(c.last_message_at, now()) from due where c.id = due.id
   )
   select now()::timestamptz(3) as at`,
)

/** Stores them as pending, and gives their rows. */
export async function insertOutbound(
  tx: ClientBase,
  tenantId: string,
  messages: readonly NewOutbound[],
): Promise<MessageRow[]> {
  const drafts = messages.map((message) => ({ ...message, waId: newWaId() }))
  const [stored] = await insert(tx, [
    tenantId,
    drafts.map(({ id }) => id),
    drafts.map(({ sender }) => sender.accountId),
    drafts.map(({ conversation }) => conversation.id),
    drafts.map(({ waId }) => waId),
    drafts.map(({ content }) => content.type),
    drafts.map(({ content }) => postgresJson(content)),
    drafts.map(({ context }) => context && postgresJson(context)),
    drafts.map(({ metadata }) => metadata && postgresJson(metadata)),
    drafts.map(({ correlationId }) => correlationId),
    drafts.map(({ sendAt }) => sendAt),
  ])
  const at = stored?.at ?? new Date()
  return drafts.map((draft) => pendingRow(tenantId, draft, at))
}

function pendingRow(tenantId: string, draft: NewOutbound & { waId: string }, at: Date): MessageRow {
  const { sender, conversation } = draft
  return {
    id: draft.id,
    tenantId,
    accountId: sender.accountId,
    conversationId: conversation.id,
    waId: draft.waId,
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
    timestamp: at,
    createdAt: at,
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
