import { prepared, type Queryable } from '../db/database.ts'

const read = prepared<{ raw: Buffer }>(
  'stored_message',
  `select m.raw from session s join message m on m.account_id = s.account_id
   where s.id = $1 and m.wa_id = $2 and m.raw is not null
   order by m.author = 'me' desc limit 1`,
)

/** A message's protobuf in base64, ours first, so that a peer's retry can be answered; null when we have none. */
export async function readStoredMessage(
  db: Queryable,
  sessionId: string,
  waId: string,
): Promise<string | null> {
  const [row] = await read(db, [sessionId, waId])
  return row?.raw.toString('base64') ?? null
}
