/** Sends that were given up after all their tries, until somebody has them tried again. */
import { z } from 'zod'
import { prepared, type Queryable } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { MessageChanges } from './message-changes.ts'
import { type Message, messageSchema } from './message-schemas.ts'
import { type MessageRow, messageColumns, messageTables, viewMessage } from './message-view.ts'
import { SEND_QUEUE } from './send-job.ts'

export const deadLetterSchema = z
  .object({
    id: z.string().meta({ description: 'of the job; grows with time' }),
    reason: z.string().nullable().meta({ description: 'how its last try ended' }),
    attempts: z.int(),
    died_at: z.iso.datetime().nullable(),
    message: messageSchema,
  })
  .meta({ id: 'DeadLetter' })
export type DeadLetter = z.infer<typeof deadLetterSchema>

export const deadLetterPage = z.object({
  data: z.array(deadLetterSchema),
  next_cursor: z.string().nullable(),
})

interface Row extends MessageRow {
  jobId: string
  reason: string | null
  attempts: number
  diedAt: Date | null
}

const page = prepared<Row>(
  'dead_letters',
  `select ${messageColumns}, j.id as "jobId", j.last_error as reason, j.attempts, j.finished_at as "diedAt"
   from lane l join lane_job j on j.key = l.key and j.state = 'dead'
     join (${messageTables}) on m.id = (j.payload->>'message_id')::uuid
   where l.tenant_id = $1 and l.key like '${SEND_QUEUE}:%' and m.tenant_id = $1 and j.id < $2
   order by j.id desc limit $3`,
)
const deadJob = prepared<{ messageId: string }>(
  'dead_letter',
  `select j.payload->>'message_id' as "messageId" from lane_job j join lane l on l.key = j.key
   where j.id = $2 and j.state = 'dead' and l.tenant_id = $1 and l.key like '${SEND_QUEUE}:%'`,
)

/** The newest first. Throws `invalid_cursor`. */
export async function listDeadLetters(
  db: Queryable,
  tenantId: string,
  { cursor, limit }: { cursor?: string; limit: number },
): Promise<{ data: DeadLetter[]; next_cursor: string | null }> {
  if (cursor !== undefined && !jobId.test(cursor)) throw new PalomarError('invalid_cursor')
  const rows = await page(db, [tenantId, cursor ?? LAST, limit + 1])
  const shown = rows.slice(0, limit)
  return {
    data: shown.map((row) => ({
      id: row.jobId,
      reason: row.reason,
      attempts: row.attempts,
      died_at: row.diedAt?.toISOString() ?? null,
      message: viewMessage(row),
    })),
    next_cursor: rows.length > limit ? (shown.at(-1)?.jobId ?? null) : null,
  }
}

/** Gives it all its tries again, before what was accepted after it. Throws `not_found` and `message_not_retryable`. */
export async function redriveDeadLetter(
  db: Queryable,
  changes: Pick<MessageChanges, 'retry'>,
  tenantId: string,
  id: string,
): Promise<Message> {
  const [job] = jobId.test(id) ? await deadJob(db, [tenantId, id]) : []
  if (!job) throw new PalomarError('not_found', `no dead letter ${id}`)
  return changes.retry(tenantId, job.messageId)
}

/** the greatest that a bigint can hold: where the first page begins */
const LAST = '9223372036854775807'
/** what a bigint can hold */
const jobId = /^[1-9]\d{0,17}$/
