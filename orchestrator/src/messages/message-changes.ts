/** What a caller may still change about a message: cancel it while it waits, send a failed one again. */
import type { PoolClient } from 'pg'
import { type Database, prepared } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import { appendEvents } from '../events/event-log.ts'
import type { StoredEvent } from '../events/types.ts'
import { cancel, redrive } from '../lanes/lane-control.ts'
import { cancelledEvents } from './message-events.ts'
import type { Message } from './message-schemas.ts'
import { type MessageRow, messageColumns, messageTables, viewMessage } from './message-view.ts'
import { newWaId } from './outbound-rows.ts'
import { enqueueSends, laneOf } from './send-job.ts'

export interface MessageChanges {
  /** Throws `message_not_found`, and `message_not_cancellable` when it is being sent or has ended. */
  cancel(tenantId: string, messageId: string): Promise<Message>
  /**
   * Sends a failed message again: one that was given up at its old place in the lane, another as the last. It keeps its WhatsApp id, so that a person cannot see it twice;
   * unless WhatsApp refused its only try, since the refused id would be answered with the same refusal.
   * Throws `message_not_found` and `message_not_retryable`.
   */
  retry(tenantId: string, messageId: string): Promise<Message>
}

const lock = prepared<MessageRow>(
  'message_lock',
  `select ${messageColumns} from ${messageTables} where m.tenant_id = $1 and m.id = $2 for no key update of m`,
)
const jobOf = prepared<{ id: string }>(
  'message_job',
  `select id from lane_job where key = $1 and state = any($2) and payload->>'message_id' = $3 order by id desc limit 1`,
)
const markCancelled = prepared('message_cancel', `update message set status = 'cancelled' where id = $1`)
const reopen = prepared(
  'message_reopen',
  `update message set status = 'pending', error = null, failed_at = null,
     raw = case when wa_id = $2 then raw end, wa_id = $2
   where id = $1`,
)

// The message is locked before its lane, as by the dispatcher that ends a job.
export function createMessageChanges({
  database,
  wake,
  publish,
}: {
  database: Database
  wake: () => void
  publish: (events: StoredEvent[]) => void
}): MessageChanges {
  return {
    async cancel(tenantId, messageId) {
      const { message, events } = await database.transaction(async (tx) => {
        const row = await lockMessage(tx, tenantId, messageId)
        if (row.status !== 'pending') throw new PalomarError('message_not_cancellable', `it is ${row.status}`)
        const [job] = await jobOf(tx, [laneOf(row.accountId), ['pending', 'scheduled'], messageId])
        if (!job || !(await cancel(tx, job.id))) {
          throw new PalomarError('message_not_cancellable', 'it is just being sent')
        }
        await markCancelled(tx, [messageId])
        const cancelled = { ...row, status: 'cancelled' as const }
        const events = await appendEvents(tx, cancelledEvents(cancelled))
        return { message: viewMessage(cancelled), events }
      })
      publish(events)
      return message
    },

    async retry(tenantId, messageId) {
      const message = await database.transaction(async (tx) => {
        const row = await reopenMessage(tx, await lockMessage(tx, tenantId, messageId))
        const [dead] = await jobOf(tx, [laneOf(row.accountId), ['dead'], messageId])
        if (dead) await redrive(tx, dead.id)
        else
          await enqueueSends(tx, [
            { tenantId, accountId: row.accountId, messageId, priority: 0, sendAt: null },
          ])
        return viewMessage(row)
      })
      wake()
      return message
    },
  }
}

async function reopenMessage(tx: PoolClient, row: MessageRow): Promise<MessageRow> {
  if (row.direction !== 'outbound' || row.status !== 'failed') {
    throw new PalomarError('message_not_retryable', `it is ${row.status}`)
  }
  const waId = row.error?.permanent && !row.error.outcome_unknown ? newWaId() : row.waId
  await reopen(tx, [row.id, waId])
  return { ...row, status: 'pending', error: null, failedAt: null, waId }
}

async function lockMessage(tx: PoolClient, tenantId: string, messageId: string): Promise<MessageRow> {
  const [row] = await lock(tx, [tenantId, messageId])
  if (!row) throw new PalomarError('message_not_found', `no message ${messageId}`)
  return row
}
