/** The job of a lane that sends one message. An account's messages share a lane, so they leave in order. */
import type { QueryConfig } from 'pg'
import { z } from 'zod'
import type { Queryable } from '../db/database.ts'
import { enqueue, enqueuing } from '../lanes/enqueue.ts'
import type { NewLaneJob } from '../lanes/lane-job.ts'

export const SEND_QUEUE = 'out'
export const laneOf = (accountId: string) => `${SEND_QUEUE}:${accountId}`

/** tries that WhatsApp or the node answered with a failure, or not at all; waiting for a connection is none */
const MAX_ATTEMPTS = 12

export const sendJob = z.object({ message_id: z.uuid() })

export interface NewSend {
  tenantId: string
  accountId: string
  messageId: string
  priority: number
  sendAt: Date | null
}

/** Put last in a transaction: it locks the lanes until the end. Then wake the worker. */
export async function enqueueSends(tx: Queryable, sends: readonly NewSend[]): Promise<void> {
  await enqueue(tx, sends.map(jobOf))
}

/** The statement of `enqueueSends`, to be sent with the commit. */
export function enqueuingSends(sends: readonly NewSend[]): QueryConfig {
  return enqueuing(sends.map(jobOf))
}

function jobOf({ tenantId, accountId, messageId, priority, sendAt }: NewSend): NewLaneJob {
  return {
    key: laneOf(accountId),
    tenantId,
    kind: 'send',
    payload: { message_id: messageId } satisfies z.infer<typeof sendJob>,
    priority,
    runAt: sendAt ?? undefined,
    maxAttempts: MAX_ATTEMPTS,
  }
}
