/**
 * What a person asks of a session. Each request is written down, and the reconciler makes it so; none waits for a node,
 * save the logout, which WhatsApp must hear from the node.
 */
import type { PoolClient } from 'pg'
import { PalomarError } from '../errors.ts'
import type { NewEvent } from '../events/types.ts'
import type { Logger } from '../logger.ts'
import type { NodeClients } from '../nodes/node-clients.ts'
import { readCurrentNode } from '../nodes/node-rows.ts'
import { changeState } from './change-state.ts'
import { archiveCredentials } from './credential-archive.ts'
import type { Reconciler } from './reconciler.ts'
import type { SessionRow } from './session-row.ts'
import { changeSession, type SessionTransactions } from './session-transaction.ts'
import { type AccountRef, findSessionId, readSession, type SessionView } from './session-view.ts'

export interface LifecycleOptions extends SessionTransactions {
  clients: NodeClients
  reconciler: Pick<Reconciler, 'wake'>
  logger: Logger
}

export type Lifecycle = ReturnType<typeof createLifecycle>

const logoutMs = 10_000

/** All methods throw `account_not_found` for what is not an account of the tenant, and return the session afterwards. */
export function createLifecycle(options: LifecycleOptions) {
  const { database, clients, reconciler, logger } = options

  async function change(
    account: AccountRef,
    work: (tx: PoolClient, session: SessionRow) => Promise<NewEvent[]>,
  ): Promise<SessionView> {
    const sessionId = await findSessionId(database, account)
    if (!(await changeSession(options, sessionId, work))) throw new PalomarError('account_not_found')
    reconciler.wake(sessionId)
    return readSession(database, account)
  }

  /** Tells WhatsApp that this device is no more, when the session is connected. Best effort: false when it could not. */
  async function tellWhatsApp(sessionId: string): Promise<boolean> {
    const node = await readCurrentNode(database.pool, sessionId)
    if (!node?.address) return false
    try {
      await clients.of({ nodeId: node.id, sessionId, address: node.address }).logout(logoutMs)
      return true
    } catch (error) {
      logger.warn('WhatsApp could not be told of the logout', { session_id: sessionId, error })
      return false
    }
  }

  return {
    readSession: (account: AccountRef) => readSession(database, account),

    /** Wants it to run. One that had ended (closed, logged out, in error) gets a fresh node, at once. */
    startSession: (account: AccountRef) => change(account, startAgain),

    /** Wants it to run, with another node than now. */
    restartSession: (account: AccountRef) =>
      change(account, async (tx, session) => {
        await wantRunning(tx, session.id)
        await retireNode(tx, session.id)
        return (await changeState(tx, session, 'restart_requested')).events
      }),

    /** Wants it stopped. It stays paired. */
    stopSession: (account: AccountRef) =>
      change(account, async (tx, session) => {
        await tx.query(`update session set desired = 'stopped' where id = $1`, [session.id])
        return (await changeState(tx, session, 'stop_requested', { reason: 'stopped by request' })).events
      }),

    /** Logs out of WhatsApp, archives the credentials and stops. Takes up to 10 s when WhatsApp is slow. */
    async logoutSession(account: AccountRef): Promise<SessionView> {
      const { id, state } = await readSession(database, account)
      const connected = state === 'active' || state === 'reconnecting' || state === 'connecting'
      if (connected) await tellWhatsApp(id)
      return change(account, async (tx, session) => {
        await archiveCredentials(tx, session.id, 'logged out by request')
        await tx.query(`update session set desired = 'stopped' where id = $1`, [session.id])
        return (await changeState(tx, session, 'logout_requested', { reason: 'logged out by request' }))
          .events
      })
    },
  }
}

/** Also behind a request for a QR: see pairing.ts. */
export async function startAgain(tx: PoolClient, session: SessionRow): Promise<NewEvent[]> {
  await wantRunning(tx, session.id)
  // Its node, if there is still one, is about to stop or knows only how it ended.
  if (session.state === 'closed' || session.state === 'logged_out' || session.state === 'error')
    await retireNode(tx, session.id)
  return (await changeState(tx, session, 'start_requested')).events
}

/** A person's wish starts the counting of failures again. */
async function wantRunning(tx: PoolClient, sessionId: string): Promise<void> {
  await tx.query(`update session set desired = 'running', failures = 0, not_before = null where id = $1`, [
    sessionId,
  ])
}

/** The reconciler stops the node before it starts the next one. */
async function retireNode(tx: PoolClient, sessionId: string): Promise<void> {
  await tx.query(
    `update node set status = 'stopping' where session_id = $1 and status in ('starting', 'running')`,
    [sessionId],
  )
}
