/** Facts about messages of ours, written: `advance` decides under the rows' locks, so writers cannot undo each other. */
import { prepared, type Queryable } from '../db/database.ts'
import type { NewEvent } from '../events/types.ts'
import { statusEvents } from './message-events.ts'
import { type MessageRow, messageColumns, messageTables } from './message-view.ts'
import { advance, type StatusChange } from './status.ts'

/** one fact about the message with this WhatsApp id */
export interface Fact {
  waId: string
  change: StatusChange
}

// Locked in the order of ids, so that two writers wait for each other in the same order.
const lockWhere = (account: string) =>
  `select ${messageColumns} from ${messageTables}
   where m.account_id = ${account} and m.wa_id = any($2) and m.direction = 'outbound'
   order by m.id for no key update of m`
const lock = prepared<MessageRow>('status_lock', lockWhere('$1'))
const lockOfSession = prepared<MessageRow>(
  'status_lock_of_session',
  lockWhere('(select account_id from session where id = $1)'),
)
const write = prepared(
  'status_write',
  `update message m set status = u.status, error = u.error, sent_at = u.sent_at, delivered_at = u.delivered_at,
     read_at = u.read_at, played_at = u.played_at, failed_at = u.failed_at
   from unnest($1::uuid[], $2::text[], $3::jsonb[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
       $7::timestamptz[], $8::timestamptz[])
     as u(id, status, error, sent_at, delivered_at, read_at, played_at, failed_at)
   where m.id = u.id`,
)

/** What facts make of the messages that they are about: their rows as they are to be, and the events to append. */
export interface Decision {
  rows: MessageRow[]
  events: NewEvent[]
}

/**
 * Locks the messages and applies the facts in order; facts about messages we do not have are dropped. Nothing is
 * written yet: `storeDecision` does that, together with whatever else need not wait for it.
 */
export async function decideFacts(
  tx: Queryable,
  accountId: string,
  facts: readonly Fact[],
): Promise<Decision> {
  return decide(facts.length > 0 ? await lock(tx, [accountId, waIdsOf(facts)]) : [], facts)
}

/** The same for who knows the session only. */
export async function decideFactsOfSession(
  tx: Queryable,
  sessionId: string,
  facts: readonly Fact[],
): Promise<Decision> {
  return decide(facts.length > 0 ? await lockOfSession(tx, [sessionId, waIdsOf(facts)]) : [], facts)
}

const waIdsOf = (facts: readonly Fact[]) => [...new Set(facts.map(({ waId }) => waId))]

function decide(locked: readonly MessageRow[], facts: readonly Fact[]): Decision {
  const rows = new Map(locked.map((row) => [row.waId, row]))
  const touched = new Set<string>()
  const events: NewEvent[] = []
  for (const { waId, change } of facts) {
    const row = rows.get(waId)
    if (!row) continue
    const progress = advance(row, change)
    if (progress === row) continue
    const next = { ...row, ...progress }
    rows.set(waId, next)
    touched.add(waId)
    events.push(...statusEvents(row.status, next))
  }
  return { rows: [...rows.values()].filter(({ waId }) => touched.has(waId)), events }
}

export async function storeDecision(tx: Queryable, { rows }: Decision): Promise<void> {
  if (rows.length === 0) return
  await write(tx, [
    rows.map(({ id }) => id),
    rows.map(({ status }) => status),
    rows.map(({ error }) => (error ? JSON.stringify(error) : null)),
    rows.map(({ sentAt }) => sentAt),
    rows.map(({ deliveredAt }) => deliveredAt),
    rows.map(({ readAt }) => readAt),
    rows.map(({ playedAt }) => playedAt),
    rows.map(({ failedAt }) => failedAt),
  ])
}

/** Decides and stores. Returns the events of what changed. */
export async function writeFacts(
  tx: Queryable,
  accountId: string,
  facts: readonly Fact[],
): Promise<NewEvent[]> {
  const decision = await decideFacts(tx, accountId, facts)
  await storeDecision(tx, decision)
  return decision.events
}
