/** Applies the state table to a locked session row, and says which events follow. */
import type pg from 'pg'
import { prepared } from '../db/database.ts'
import { postgresText } from '../events/postgres-json.ts'
import type { NewEvent } from '../events/types.ts'
import type { SessionRow } from './session-row.ts'
import { nextState, type SessionInput, type SessionState } from './state-table.ts'

export interface StateChange {
  session: SessionRow
  events: NewEvent[]
  /** the input made no sense in that state; nothing was written */
  refused: boolean
}

/** Why, as callers will see it: `code` is WhatsApp's or Baileys' disconnect code. */
export interface Cause {
  code?: number
  reason?: string
}

const write = prepared<{ connectedAt: Date | null }>(
  'session_state',
  `update session set
     state = $2, state_code = $3, state_reason = $4,
     state_since = case when state = $2 then state_since else now() end,
     qr_text = case when $2 = 'waiting_qr' then qr_text end,
     qr_expires_at = case when $2 = 'waiting_qr' then qr_expires_at end,
     connected_at = case when $2 = 'active' and state <> 'active' then now() else connected_at end
   where id = $1
   returning connected_at as "connectedAt"`,
)

/**
 * Moves the session on. Without a change of state the newest cause is still kept. Events: connected on entering
 * `active`; disconnected on leaving it, and on entering `closed`, `logged_out` or `error`.
 */
export async function changeState(
  tx: pg.ClientBase,
  session: SessionRow,
  input: SessionInput,
  cause: Cause = {},
): Promise<StateChange> {
  const state = nextState(session.state, input)
  if (!state) return { session, events: [], refused: true }
  const caused = cause.code !== undefined || cause.reason !== undefined
  if (state === session.state && !caused) return { session, events: [], refused: false }

  const code = cause.code ?? null
  const reason = cause.reason === undefined ? null : postgresText(cause.reason)
  const [row] = await write(tx, [session.id, state, code, reason])
  const changed: SessionRow = {
    ...session,
    state,
    stateCode: code,
    stateReason: reason,
    connectedAt: row?.connectedAt ?? null,
  }
  const type = eventOf(session.state, state)
  return { session: changed, events: type ? [sessionEvent(changed, type, cause)] : [], refused: false }
}

const ends: readonly SessionState[] = ['closed', 'logged_out', 'error']

function eventOf(before: SessionState, after: SessionState): NewEvent['type'] | undefined {
  if (before === after) return undefined
  if (after === 'active') return 'session.status.connected'
  return before === 'active' || ends.includes(after) ? 'session.status.disconnected' : undefined
}

/** An event of this session; undefined members of `data` are left out. */
export function sessionEvent(
  session: Pick<SessionRow, 'id' | 'tenantId' | 'accountId' | 'state'>,
  type: NewEvent['type'],
  data: object = {},
): NewEvent {
  return {
    tenantId: session.tenantId,
    accountId: session.accountId,
    type,
    data: { account_id: session.accountId, session_id: session.id, state: session.state, ...data },
  }
}
