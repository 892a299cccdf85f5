/** Messages as callers read them. Everything is asked for with its tenant: what another has does not exist. */

import { below, encodeCursor } from '../db/cursor.ts'
import { prepared, type Queryable } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { Message, MessagePage } from './message-schemas.ts'
import { type MessageRow, messageColumns, messageTables, viewMessage } from './message-view.ts'

const byIds = prepared<MessageRow>(
  'message_by_ids',
  `select ${messageColumns} from ${messageTables} where m.tenant_id = $1 and m.id = any($2::uuid[])`,
)
const page = prepared<MessageRow>(
  'message_page',
  `select ${messageColumns} from ${messageTables}
   where m.tenant_id = $1 and m.conversation_id = $2
     and (m.timestamp, m.id) < ($3::timestamptz, $4::uuid)
   order by m.timestamp desc, m.id desc limit $5`,
)

/** Those that exist, in the order of the ids. */
export async function readMessages(
  db: Queryable,
  tenantId: string,
  ids: readonly string[],
): Promise<Message[]> {
  const rows = new Map((await byIds(db, [tenantId, ids])).map((row) => [row.id, row]))
  return ids.flatMap((id) => {
    const row = rows.get(id)
    return row ? [viewMessage(row)] : []
  })
}

/** Throws `message_not_found`. */
export async function readMessage(db: Queryable, tenantId: string, id: string): Promise<Message> {
  const [message] = await readMessages(db, tenantId, [id])
  if (!message) throw new PalomarError('message_not_found', `no message ${id}`)
  return message
}

/** A conversation's messages, newest first. Throws `invalid_cursor`. */
export async function listMessages(
  db: Queryable,
  tenantId: string,
  conversationId: string,
  { cursor, limit }: { cursor?: string; limit: number },
): Promise<MessagePage> {
  const rows = await page(db, [tenantId, conversationId, ...below(cursor), limit + 1])
  const shown = rows.slice(0, limit)
  const last = rows.length > limit ? shown.at(-1) : undefined
  return {
    data: shown.map(viewMessage),
    next_cursor: last ? encodeCursor({ at: last.timestamp, id: last.id }) : null,
  }
}
