/** What a node's commit says of messages, written inside that commit's transaction. */
import type { Address, MessageReport, NodeEvent } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { prepared } from '../db/database.ts'
import { postgresText } from '../events/postgres-json.ts'
import type { NewEvent } from '../events/types.ts'
import { known } from './address.ts'
import { joinConversations, resolveConversations } from './conversations.ts'
import { type Identities, learnIdentities } from './identities.ts'
import { messageEvent } from './message-events.ts'
import { type WriterOwner, writeMessages } from './message-writer.ts'
import { ofAckError } from './send-errors.ts'
import { type Fact, writeFacts } from './status-writer.ts'
import { waTime } from './wa-time.ts'

type Report<T extends NodeEvent['type']> = Extract<NodeEvent, { type: T }>

const storePrepared = prepared(
  'message_prepared',
  `update message m set raw = u.raw from unnest($2::text[], $3::bytea[]) as u(wa_id, raw)
   where m.account_id = $1 and m.wa_id = any($2) and m.wa_id = u.wa_id and m.author = 'me' and m.raw is null`,
)
const nameConversations = prepared(
  'conversation_name',
  `update conversation c set name = u.name from unnest($1::uuid[], $2::text[]) as u(id, name)
   where c.id = u.id and c.name is distinct from u.name`,
)

/**
 * Applies the reports of messages, acks, receipts, identities and history; others are not looked at. Returns the
 * events to append in the same transaction. The session's row must be locked, so that one commit of an account runs
 * at a time.
 */
export async function applyMessageReports(
  tx: ClientBase,
  owner: WriterOwner,
  reports: readonly NodeEvent[],
): Promise<NewEvent[]> {
  const messages = reports.flatMap((r) => (r.type === 'message' ? r : r.type === 'history' ? r.messages : []))
  const history = reports.filter((report) => report.type === 'history')
  const receipts = reports.filter((report) => report.type === 'receipt')
  const { identities, fresh: pairs } = await learnIdentities(
    tx,
    owner.accountId,
    [...messages.flatMap(addressesOf), ...receipts.flatMap(addressesOf), ...history.flatMap(chatsOf)],
    reports.flatMap((report) => (report.type === 'identities' ? report.pairs : [])),
  )
  await joinConversations(tx, owner.accountId, pairs)
  await nameChats(tx, owner, history, identities)
  const fresh = await writeMessages(tx, owner, messages, identities)
  await prepare(
    tx,
    owner.accountId,
    reports.filter((report) => report.type === 'prepared'),
  )
  const statuses = await writeFacts(tx, owner.accountId, reports.flatMap(factsOf))
  const announced = fresh.filter(({ origin }) => origin !== 'history')
  return [
    ...announced.map((row) =>
      messageEvent(row.direction === 'inbound' ? 'message.received' : 'message.sent', row),
    ),
    ...statuses,
  ]
}

function addressesOf(report: MessageReport | Report<'receipt'>): Address[] {
  if (report.type === 'message') return [report.chat, report.sender]
  return report.reader ? [report.chat, report.reader] : [report.chat]
}

const chatsOf = (report: Report<'history'>) => report.chats.map(({ address }) => address)

async function nameChats(
  tx: ClientBase,
  owner: WriterOwner,
  history: readonly Report<'history'>[],
  identities: Identities,
): Promise<void> {
  const addresses = history.flatMap(chatsOf)
  if (addresses.length === 0) return
  const conversations = await resolveConversations(tx, owner, addresses, identities)
  const names = new Map<string, string>()
  history
    .flatMap(({ chats }) => chats)
    .forEach(({ name }, n) => {
      const conversation = conversations[n]
      if (conversation && name) names.set(conversation.id, postgresText(name))
    })
  const sorted = [...names].sort(([a], [b]) => (a < b ? -1 : 1))
  if (sorted.length > 0)
    await nameConversations(tx, [sorted.map(([id]) => id), sorted.map(([, name]) => name)])
}

async function prepare(tx: ClientBase, accountId: string, reports: Report<'prepared'>[]): Promise<void> {
  if (reports.length === 0) return
  await storePrepared(tx, [
    accountId,
    reports.map(({ id }) => id),
    reports.map(({ raw }) => Buffer.from(raw, 'base64')),
  ])
}

/** Whether a receipt says which phone number and which LID are one person; nothing else of it adds to what is known. */
export const namesPerson = (receipt: Report<'receipt'>): boolean =>
  addressesOf(receipt).some((address) => {
    const { pn, lid } = known(address)
    return pn !== undefined && lid !== undefined
  })

/** What a report proves of messages of ours. A refusal that may pass is left to the sender's next try. */
export function factsOf(report: NodeEvent): Fact[] {
  if (report.type === 'receipt') {
    const change = { to: report.status, at: waTime(report.timestamp) }
    return report.ids.map((waId) => ({ waId, change }))
  }
  if (report.type !== 'ack') return []
  const at = waTime(report.timestamp)
  if (report.error === undefined) return [{ waId: report.id, change: { to: 'sent', at } }]
  const error = ofAckError(report.error)
  return error.permanent ? [{ waId: report.id, change: { to: 'failed', at, error } }] : []
}
