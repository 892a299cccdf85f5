/** Changes one session in one transaction, with the events that follow from it. */
import type { PoolClient } from 'pg'
import type { Database } from '../db/database.ts'
import { appendEvents } from '../events/event-log.ts'
import type { FanOut } from '../events/fan-out.ts'
import type { NewEvent } from '../events/types.ts'
import type { SessionChanges } from './session-changes.ts'
import { lockSession, type SessionRow } from './session-row.ts'

export interface SessionTransactions {
  database: Database
  fanOut: FanOut
  changes: SessionChanges
}

/**
 * Runs `work` on the locked row; the events that it returns are appended, and published after the commit.
 * False when there is no such session: `work` did not run.
 */
export async function changeSession(
  { database, fanOut, changes }: SessionTransactions,
  sessionId: string,
  work: (tx: PoolClient, session: SessionRow) => Promise<NewEvent[]>,
): Promise<boolean> {
  const stored = await database.transaction(async (tx) => {
    const session = await lockSession(tx, sessionId)
    return session && appendEvents(tx, await work(tx, session))
  })
  if (!stored) return false
  fanOut.publish(stored)
  changes.changed(sessionId)
  return true
}
