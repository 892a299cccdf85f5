/**
 * Reported messages, written in batches. What is new is decided by the unique constraint inside the commit's
 * transaction: nothing that was seen before, in a cache or elsewhere, can hide a message or repeat one.
 */
import type { Content, MessageReport, ReplyContext } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { prepared } from '../db/database.ts'
import { postgresJson, postgresText } from '../events/postgres-json.ts'
import { type Conversation, type Owner, resolveConversations } from './conversations.ts'
import type { Identities } from './identities.ts'
import type { MessageRow } from './message-view.ts'
import { waTime } from './wa-time.ts'

/** rows a statement: enough that the round trip costs little, few enough that no statement runs long */
const BATCH = 500

// An undecryptable message gives its place to the real one, and to nothing else. Sorted against deadlocks.
const insert = prepared<{
  waId: string
  conversationId: string
  author: string
  id: string
  createdAt: Date
}>(
  'message_report_insert',
  `insert into message as old (id, tenant_id, account_id, conversation_id, wa_id, direction, origin, author,
     sender_pn, sender_lid, push_name, type, content, context, status, raw, timestamp, sent_at)
   select u.id, $1, $2, u.conversation_id, u.wa_id, u.direction, u.origin, u.author,
     u.sender_pn, u.sender_lid, u.push_name, u.type, u.content, u.context, u.status, u.raw, u.timestamp,
     case u.direction when 'outbound' then u.timestamp end
   from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
       $11::text[], $12::text[], $13::jsonb[], $14::jsonb[], $15::text[], $16::bytea[], $17::timestamptz[])
     as u(id, conversation_id, wa_id, direction, origin, author, sender_pn, sender_lid, push_name, type, content,
       context, status, raw, timestamp)
   -- ours, whatever address its copy came back under; met by their ids, so that not all of ours are read
   where not (u.author = 'me' and exists (select from message ours
     where ours.account_id = $2 and ours.wa_id = any($5::text[]) and ours.wa_id = u.wa_id and ours.author = 'me'
       and ours.origin = 'api'))
   order by u.wa_id, u.conversation_id, u.author
   on conflict (account_id, wa_id, conversation_id, author) do update set
     type = excluded.type, content = excluded.content, context = excluded.context, raw = excluded.raw,
     origin = excluded.origin, push_name = coalesce(excluded.push_name, old.push_name)
   where old.type = 'undecryptable' and excluded.type <> 'undecryptable'
   returning wa_id as "waId", conversation_id as "conversationId", author, id, created_at as "createdAt"`,
)
const touch = prepared(
  'conversation_touch',
  `update conversation c set last_message_at = greatest(c.last_message_at, u.last), jid = u.jid,
     name = coalesce(u.name, c.name), resolved_at = coalesce(c.resolved_at, now())
   from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) as u(id, last, jid, name)
   where c.id = u.id and (c.last_message_at is null or c.last_message_at < u.last or c.jid <> u.jid
     or (u.name is not null and c.name is distinct from u.name) or c.resolved_at is null)`,
)

export interface WriterOwner extends Owner {
  accountPhone: string | null
}

interface Draft {
  key: string
  report: MessageReport
  conversation: Conversation
  author: string
  pn: string | undefined
  lid: string | undefined
}

/**
 * Stores those that are not stored yet. Returns the new ones in the order of the reports; one that replaced its
 * undecryptable placeholder counts as new, a placeholder and a known message do not.
 * @param identities must have been read with the chats and senders of the reports
 */
export async function writeMessages(
  tx: ClientBase,
  owner: WriterOwner,
  reports: readonly MessageReport[],
  identities: Identities,
): Promise<MessageRow[]> {
  const fresh: MessageRow[] = []
  const touches: Touches = new Map()
  for (let start = 0; start < reports.length; start += BATCH) {
    fresh.push(...(await writeBatch(tx, owner, reports.slice(start, start + BATCH), identities, touches)))
  }
  // Last, since it locks conversations that senders want, too.
  await writeTouches(tx, touches)
  return fresh
}

async function writeBatch(
  tx: ClientBase,
  owner: WriterOwner,
  reports: readonly MessageReport[],
  identities: Identities,
  touches: Touches,
): Promise<MessageRow[]> {
  const chats = reports.map(({ chat }) => chat)
  const conversations = await resolveConversations(tx, owner, chats, identities)
  const drafts = distinct(
    reports.map((report, n) => draft(report, conversations[n] as Conversation, identities)),
  )
  const rows = await insert(tx, [
    owner.tenantId,
    owner.accountId,
    drafts.map(() => uuidv7()),
    drafts.map(({ conversation }) => conversation.id),
    drafts.map(({ report }) => postgresText(report.id)),
    drafts.map(({ report }) => (report.from_me ? 'outbound' : 'inbound')),
    drafts.map(({ report }) => report.origin),
    drafts.map(({ author }) => author),
    drafts.map(({ pn }) => pn ?? null),
    drafts.map(({ lid }) => lid ?? null),
    drafts.map(({ report }) => (report.push_name === undefined ? null : postgresText(report.push_name))),
    drafts.map(({ report }) => report.content.type),
    drafts.map(({ report }) => postgresJson(report.content)),
    drafts.map(({ report }) => (report.context ? postgresJson(report.context) : null)),
    drafts.map(({ report }) => (report.from_me ? 'sent' : 'received')),
    drafts.map(({ report }) => (report.raw === undefined ? null : Buffer.from(report.raw, 'base64'))),
    drafts.map(({ report }) => timeOf(report)),
  ])
  for (const one of drafts) note(touches, one)
  const stored = new Map(rows.map((row) => [`${row.waId}\n${row.conversationId}\n${row.author}`, row]))
  return drafts.flatMap((one) => {
    const row = stored.get(one.key)
    return row && one.report.content.type !== 'undecryptable' ? [messageRow(owner, one, row)] : []
  })
}

function draft(report: MessageReport, conversation: Conversation, identities: Identities): Draft {
  const { pn, lid } = identities.complete(report.sender)
  const author = report.from_me
    ? 'me'
    : conversation.kind === 'person'
      ? ''
      : lid
        ? `${lid}@lid`
        : report.sender.jid
  const key = `${postgresText(report.id)}\n${conversation.id}\n${author}`
  return { key, report, conversation, author, pn, lid }
}

/** Of one message told twice in a batch the first that could be read. */
function distinct(drafts: Draft[]): Draft[] {
  const first = new Map<string, Draft>()
  for (const one of drafts) {
    const known = first.get(one.key)
    if (
      !known ||
      (known.report.content.type === 'undecryptable' && one.report.content.type !== 'undecryptable')
    ) {
      first.set(one.key, one)
    }
  }
  return [...first.values()]
}

/** by conversation: what its newest message and its chat say of it */
type Touches = Map<string, { last: Date; jid: string; name: string | null }>

function note(touches: Touches, { conversation: { id, kind }, report }: Draft): void {
  const known = touches.get(id)
  const at = timeOf(report)
  const name = kind === 'person' && !report.from_me && report.push_name
  touches.set(id, {
    last: known && known.last > at ? known.last : at,
    jid: report.chat.jid,
    name: name ? postgresText(name) : (known?.name ?? null),
  })
}

async function writeTouches(tx: ClientBase, touches: Touches): Promise<void> {
  if (touches.size === 0) return
  const rows = [...touches].sort(([a], [b]) => (a < b ? -1 : 1))
  await touch(tx, [
    rows.map(([id]) => id),
    rows.map(([, { last }]) => last),
    rows.map(([, { jid }]) => jid),
    rows.map(([, { name }]) => name),
  ])
}

const timeOf = (report: MessageReport) => waTime(report.timestamp)

function messageRow(owner: WriterOwner, one: Draft, stored: { id: string; createdAt: Date }): MessageRow {
  const { report, conversation, author, pn, lid } = one
  return {
    id: stored.id,
    tenantId: owner.tenantId,
    accountId: owner.accountId,
    conversationId: conversation.id,
    waId: report.id,
    direction: report.from_me ? 'outbound' : 'inbound',
    origin: report.origin,
    author,
    senderPn: pn ?? null,
    senderLid: lid ?? null,
    pushName: report.push_name ?? null,
    content: report.content as Content,
    context: (report.context as ReplyContext | undefined) ?? null,
    metadata: null,
    status: report.from_me ? 'sent' : 'received',
    error: null,
    correlationId: null,
    timestamp: timeOf(report),
    createdAt: stored.createdAt,
    sendAt: null,
    sentAt: report.from_me ? timeOf(report) : null,
    deliveredAt: null,
    readAt: null,
    playedAt: null,
    failedAt: null,
    chatJid: conversation.jid,
    chatPn: conversation.pn,
    chatLid: conversation.lid,
    accountPhone: owner.accountPhone,
  }
}
