/** Which commit may be applied: the next one of the newest node. */
import type { CommitRequest } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { prepared, type Queryable } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import { type SessionRow, sessionColumns } from '../sessions/session-row.ts'

export interface FencedSession extends SessionRow {
  accountPhone: string | null
}

const take = prepared<FencedSession>(
  'commit_take',
  `update session s set last_seq = $3 from account a
   where s.id = $1 and s.generation = $2 and s.last_seq = $3 - 1 and a.id = s.account_id
   returning ${sessionColumns}, a.phone as "accountPhone"`,
)
const look = prepared<{ generation: number; lastSeq: number }>(
  'commit_look',
  'select generation, last_seq as "lastSeq" from session where id = $1',
)

/** Locks the session and takes the commit's place in its order; undefined when it is not that commit's turn. */
export async function takeTurn(
  tx: ClientBase,
  sessionId: string,
  { generation, seq }: CommitRequest,
): Promise<FencedSession | undefined> {
  return (await take(tx, [sessionId, generation, seq]))[0]
}

/**
 * Why it was not that commit's turn. Returns the last applied `seq` when the commit had been applied before; throws
 * `fenced`, `sequence_gap`, or `not_found` for a session that is gone.
 */
export async function explainTurn(
  db: Queryable,
  sessionId: string,
  { generation, seq }: CommitRequest,
): Promise<number> {
  const [session] = await look(db, [sessionId])
  if (!session) throw new PalomarError('not_found', 'no such session')
  if (generation !== session.generation) {
    throw new PalomarError('fenced', `generation ${generation} is over, ${session.generation} has attached`)
  }
  if (seq > session.lastSeq) {
    throw new PalomarError(
      'sequence_gap',
      `commit ${seq} came, but ${session.lastSeq} is the last one applied`,
    )
  }
  return session.lastSeq
}
