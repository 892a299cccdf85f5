/** A session's row as the hot paths see it: locked, so that whoever holds it decides alone. */
import { prepared, type Queryable } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { SessionState } from './state-table.ts'

export interface SessionRow {
  id: string
  tenantId: string
  accountId: string
  desired: 'running' | 'stopped'
  state: SessionState
  stateCode: number | null
  stateReason: string | null
  generation: number
  lastSeq: number
  connectedAt: Date | null
  failures: number
  notBefore: Date | null
}

export const sessionColumns = `s.id, s.tenant_id as "tenantId", s.account_id as "accountId", s.desired, s.state,
  s.state_code as "stateCode", s.state_reason as "stateReason", s.generation, s.last_seq as "lastSeq",
  s.connected_at as "connectedAt", s.failures, s.not_before as "notBefore"`

const lock = prepared<SessionRow>(
  'session_lock',
  `select ${sessionColumns} from session s where s.id = $1 for update`,
)

/** Locks the row until the transaction ends; undefined when there is no such session. */
export async function lockSession(tx: Queryable, sessionId: string): Promise<SessionRow | undefined> {
  return (await lock(tx, [sessionId]))[0]
}

const generationOf = prepared<{ generation: number }>(
  'session_generation',
  'select generation from session where id = $1',
)

/** Throws `fenced` unless this is the session's newest generation: an older node is told nothing more. */
export async function requireGeneration(db: Queryable, sessionId: string, generation: number): Promise<void> {
  const [session] = await generationOf(db, [sessionId])
  if (session?.generation !== generation) throw new PalomarError('fenced')
}
