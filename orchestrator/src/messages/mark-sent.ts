/**
 * The end of nearly every send, in one statement: pending becomes sent, and that is told. Whoever holds the message's
 * job need not read and decide first; where a receipt was faster, there is nothing to write and nothing to tell.
 */
import { prepared, type Queryable } from '../db/database.ts'
import { storedEvent } from '../events/event-log.ts'
import { postgresJson } from '../events/postgres-json.ts'
import type { NewEvent, StoredEvent } from '../events/types.ts'
import { statusEvents } from './message-events.ts'
import type { MessageRow } from './message-view.ts'

const mark = prepared<{ id: string; createdAt: Date }>(
  'mark_sent',
  `with moved as (
     update message set status = 'sent', sent_at = $2, error = null where id = $1 and status = 'pending' returning id
   )
   insert into event (tenant_id, account_id, type, data)
   select $3, $4, type, data from unnest($5::text[], $6::jsonb[]) with ordinality as new(type, data, n)
   where exists (select from moved) order by n
   returning id, created_at as "createdAt"`,
)

/** @param row as it was read: pending. Returns the events to publish once the transaction has committed. */
export async function markSent(tx: Queryable, row: MessageRow, at: Date): Promise<StoredEvent[]> {
  const events = statusEvents('pending', { ...row, status: 'sent', sentAt: at, error: null })
  const stored = await mark(tx, [
    ...[row.id, at, row.tenantId, row.accountId],
    events.map(({ type }) => type),
    events.map(({ data }) => postgresJson(data)),
  ])
  return stored.map(({ id, createdAt }, n) => storedEvent(events[n] as NewEvent, id, createdAt))
}
