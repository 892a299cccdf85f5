/**
 * Idempotency-Key: the first request with a key decides the answer of all with that key, for seven days.
 *
 * A key is taken in the transaction that stores the messages, so a request that was refused leaves no key behind. One
 * whose answer never came (its process was killed) is answered from its messages, once nobody can be working on it.
 */
import type { ClientBase, QueryConfig } from 'pg'
import { prepared, type Queryable } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import { postgresJson } from '../events/postgres-json.ts'

export interface IdempotencyKey {
  key: string
  /** sha256 of the request */
  requestHash: Buffer
}

export interface Answer {
  status: number
  body?: unknown
}

export type Taken =
  | { first: true }
  | { first: false; answer: Answer }
  | { first: false; messageIds: string[] }

const KEPT = '7 days'

const take = prepared(
  'idempotency_take',
  `insert into idempotency_key as k (tenant_id, key, request_hash, message_ids) values ($1, $2, $3, $4)
   on conflict (tenant_id, key) do update set request_hash = excluded.request_hash, message_ids = excluded.message_ids,
     response_status = null, response_body = null, created_at = now(), finished_at = null
   where k.created_at < now() - interval '${KEPT}'
   returning 1`,
)
const read = prepared<{
  same: boolean
  status: number | null
  body: unknown
  messageIds: string[] | null
  abandoned: boolean
}>(
  'idempotency_read',
  `select request_hash = $3 as same, response_status as status, response_body as body, message_ids as "messageIds",
     created_at < now() - $4 * interval '1 millisecond' as abandoned
   from idempotency_key where tenant_id = $1 and key = $2`,
)
const finish = prepared(
  'idempotency_finish',
  `update idempotency_key set response_status = $3, response_body = $4, finished_at = now()
   where tenant_id = $1 and key = $2 and finished_at is null`,
)

/**
 * Takes the key for `messageIds`, or says what its first request made of it. Waits for another transaction that is
 * just taking it. A first request that began longer than `abandonedAfterMs` ago runs no more. Throws
 * `idempotency_mismatch` and `idempotency_in_progress`.
 */
export async function takeKey(
  tx: ClientBase,
  tenantId: string,
  { key, requestHash }: IdempotencyKey,
  messageIds: string[],
  abandonedAfterMs: number,
): Promise<Taken> {
  if ((await take(tx, [tenantId, key, requestHash, messageIds])).length > 0) return { first: true }
  const [known] = await read(tx, [tenantId, key, requestHash, abandonedAfterMs])
  if (!known) throw new PalomarError('idempotency_in_progress')
  if (!known.same) throw new PalomarError('idempotency_mismatch')
  if (known.status !== null) return { first: false, answer: { status: known.status, body: known.body } }
  if (!known.abandoned) throw new PalomarError('idempotency_in_progress')
  return { first: false, messageIds: known.messageIds ?? [] }
}

/** Keeps the answer for those who ask again. Only the first answer stays. */
export async function finishKey(db: Queryable, tenantId: string, key: string, answer: Answer): Promise<void> {
  await db.query(finishingKey(tenantId, key, answer))
}

/** The statement of `finishKey`, to be sent with a commit. */
export function finishingKey(tenantId: string, key: string, answer: Answer): QueryConfig {
  return finish.with([tenantId, key, answer.status, postgresJson(answer.body ?? null)])
}

/** Forgets keys that are older than they are kept for. Returns how many. */
export async function purgeKeys(pool: {
  query(sql: string): Promise<{ rowCount: number | null }>
}): Promise<number> {
  const sql = `delete from idempotency_key where created_at < now() - interval '${KEPT}'`
  return (await pool.query(sql)).rowCount ?? 0
}
