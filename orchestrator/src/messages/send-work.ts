/** All that one try of a send needs to know: looked up as its job is handed out. */
import { type SendCommandInput, textContent } from '@palomar/session-node/contract'
import { prepared, type Queryable } from '../db/database.ts'
import type { LookUp } from '../lanes/claims.ts'
import type { LaneJob } from '../lanes/lane-job.ts'
import type { SessionState } from '../sessions/state-table.ts'
import { type MessageRow, messageColumns, messageTables } from './message-view.ts'
import { sendError } from './send-errors.ts'
import { sendJob } from './send-job.ts'

export interface SendWork extends MessageRow {
  /** the protobuf that an earlier try made; null: of no try have bytes left, for they wait until it is stored */
  raw: Buffer | null
  quotedRaw: Buffer | null
  quotedAuthor: string | null
  /** the recipient is to be looked up first */
  unresolved: boolean
  sessionId: string
  sessionState: SessionState
  nodeId: string | null
  nodeAddress: string | null
}

/** @param id of the message, as SQL */
const workOf = (id: string) =>
  `select ${messageColumns}, m.raw, q.raw as "quotedRaw", q.author as "quotedAuthor",
     c.kind = 'person' and c.resolved_at is null as unresolved,
     s.id as "sessionId", s.state as "sessionState", n.id as "nodeId", n.address as "nodeAddress"
   from ${messageTables}
     join session s on s.account_id = m.account_id
     left join lateral (select id, address from node
       where session_id = s.id and status = 'running' order by started_at desc limit 1) n on true
     left join lateral (select raw, author from message
       where account_id = m.account_id and wa_id = m.context->>'message_id'
       order by conversation_id = m.conversation_id desc limit 1) q on m.context is not null
   where m.id = ${id}`

export const sendLookUp: LookUp = { name: 'send-work', query: workOf("(l.asked->>'message_id')::uuid") }

const read = prepared<SendWork>('send_work', workOf('$1'))

/** Undefined when the message, or its account, is gone. */
export async function readSendWork(db: Queryable, messageId: string): Promise<SendWork | undefined> {
  return (await read(db, [messageId]))[0]
}

/** What came with the job, or what is read where nothing did. */
export async function sendWorkOf(db: Queryable, job: LaneJob): Promise<SendWork | undefined> {
  return (job.found as SendWork | undefined) ?? readSendWork(db, sendJob.parse(job.payload).message_id)
}

const doubt = prepared(
  'send_doubt',
  `update message set error = $2 where id = $1 and status = 'pending' and error is null`,
)

/**
 * To be called before a try of a message whose bytes may have left before: from now on a refusal, whoever tells of it
 * first, leaves it open that WhatsApp took the earlier one. A try that WhatsApp refused for a while counts as well,
 * since how it ended is not stored: then the failure waits for a proof that will not come.
 */
export async function rememberEarlierTry(db: Queryable, messageId: string): Promise<void> {
  await doubt(db, [messageId, JSON.stringify(sendError('outcome_unknown'))])
}

export function commandOf(work: SendWork, ackTimeoutMs: number, company: boolean): SendCommandInput {
  return {
    id: work.waId,
    to: { jid: work.chatJid, pn: work.chatPn ?? undefined, lid: work.chatLid ?? undefined },
    resolve: work.unresolved,
    content: textContent.parse(work.content),
    context: work.context
      ? {
          message_id: work.context.message_id,
          from_me: work.quotedAuthor === 'me',
          participant: work.context.from,
          raw: work.quotedRaw?.toString('base64'),
        }
      : undefined,
    raw: work.raw?.toString('base64'),
    ack_timeout_ms: ackTimeoutMs,
    company,
  }
}
