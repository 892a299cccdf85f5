/** Gathers the evidence once everything is healed: Postgres past the links, the event log, every contact's phone. */

import type { SimulatorAdmin } from '../harness/simulator-process.ts'
import { connect } from '../orchestrator/src/db/connect.ts'
import type { Evidence, StoredEvent, StoredJob, StoredMessage } from './evidence.ts'
import type { History } from './history.ts'

const messagesSql = `
  select m.id, m.account_id as "accountId", m.wa_id as "waId", m.direction, m.conversation_id as "conversationId", m.type,
    m.content -> 'text' ->> 'body' as text, m.status, m.error, m.correlation_id as "correlationId"
  from message m where m.origin <> 'history' and m.origin <> 'phone' order by m.created_at, m.id`
const eventsSql = `
  select id::int8, type, account_id as "accountId",
    coalesce(data -> 'message' ->> 'id', data ->> 'message_id') as "messageId",
    coalesce(data -> 'message' ->> 'wa_id', data ->> 'wa_id') as "waId",
    data -> 'message' -> 'text' ->> 'body' as text
  from event where type like 'message.%' order by id`
// 0: drained, 3: fenced off, 5: its parent died first; 137 and 143: killed.
const crashesSql = `
  select id, exit_code, exit_reason from node where exit_code not in (0, 3, 5, 137, 143) order by started_at`
const jobsSql = `select id, key, state from lane_job where state in ('scheduled', 'pending') order by id`

export async function collect(
  databaseUrl: string,
  admin: SimulatorAdmin,
  history: History,
): Promise<Evidence> {
  const client = await connect(databaseUrl)
  try {
    const messages = await client.query<StoredMessage>(messagesSql)
    const events = await client.query<Omit<StoredEvent, 'id'> & { id: string }>(eventsSql)
    const openJobs = await client.query<StoredJob>(jobsSql)
    const crashes = await client.query<Evidence['crashes'][number]>(crashesSql)
    const contacts = await Promise.all(
      history.contacts.map(async ({ phone }) => ({
        phone,
        received: await admin.received(phone),
        sent: await admin.sent(phone),
        unreadable: await admin.unreadable(phone),
      })),
    )
    return {
      history,
      messages: messages.rows,
      events: events.rows.map((event) => ({ ...event, id: Number(event.id) })),
      openJobs: openJobs.rows,
      crashes: crashes.rows,
      contacts,
    }
  } finally {
    await client.end()
  }
}
