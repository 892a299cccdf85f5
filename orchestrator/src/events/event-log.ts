/** The ordered log of what happened: written in the transaction that made it happen, broadcast after its commit. */
import { prepared, type Queryable } from '../db/database.ts'
import { postgresJson } from './postgres-json.ts'
import type { NewEvent, StoredEvent } from './types.ts'

const insert = prepared<{ id: string; created_at: Date }>(
  'event_append',
  `insert into event (tenant_id, account_id, type, data)
   select tenant_id, account_id, type, data
   from unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[]) with ordinality
     as new(tenant_id, account_id, type, data, n)
   order by n
   returning id, created_at`,
)

/** Appends in the order given. What comes back is for `FanOut.publish`, once the transaction has committed. */
export async function appendEvents(tx: Queryable, events: NewEvent[]): Promise<StoredEvent[]> {
  if (events.length === 0) return []
  const rows = await insert(tx, [
    events.map((event) => event.tenantId),
    events.map((event) => event.accountId),
    events.map((event) => event.type),
    events.map((event) => postgresJson(event.data)),
  ])
  return events.map((event, n) => {
    const row = rows[n]
    if (!row) throw new Error('an event was not stored')
    return storedEvent(event, row.id, row.created_at)
  })
}

export function storedEvent(event: NewEvent, id: string, createdAt: Date): StoredEvent {
  return {
    id,
    type: event.type,
    tenant_id: event.tenantId,
    account_id: event.accountId,
    created_at: createdAt.toISOString(),
    data: event.data,
  }
}
