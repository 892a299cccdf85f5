/**
 * Accounts: WhatsApp numbers of a tenant. Every function takes the tenant and sees nothing of another one's: what is
 * not the tenant's does not exist (`account_not_found`).
 */
import { v7 as uuid } from 'uuid'
import { decodeCursor, encodeCursor } from '../db/cursor.ts'
import { PalomarError } from '../errors.ts'
import { appendEvents } from '../events/event-log.ts'
import { removeLane } from '../lanes/lane-control.ts'
import type { Logger } from '../logger.ts'
import { laneOf } from '../messages/send-job.ts'
import { sessionEvent } from '../sessions/change-state.ts'
import type { Lifecycle } from '../sessions/lifecycle.ts'
import type { Reconciler } from '../sessions/reconciler.ts'
import type { SessionTransactions } from '../sessions/session-transaction.ts'
import {
  type AccountView,
  findAccount,
  insertAccount,
  pageOfAccounts,
  updateAccount,
} from './account-store.ts'

export interface AccountsOptions extends SessionTransactions {
  lifecycle: Pick<Lifecycle, 'logoutSession'>
  reconciler: Pick<Reconciler, 'wake'>
  logger: Logger
}

export interface NewAccount {
  name: string
  metadata?: Record<string, unknown>
  /** whether its session starts at once; default true */
  start?: boolean
}

export type Accounts = ReturnType<typeof createAccounts>

export function createAccounts({
  database,
  fanOut,
  changes,
  lifecycle,
  reconciler,
  logger,
}: AccountsOptions) {
  async function read(tenantId: string, id: string): Promise<AccountView> {
    const account = await findAccount(database, tenantId, id)
    if (!account) throw new PalomarError('account_not_found')
    return account
  }

  return {
    read,

    /** The account, its session and their event, or nothing. The session's node is on its way when this returns. */
    async create(tenantId: string, { name, metadata = {}, start = true }: NewAccount): Promise<AccountView> {
      const id = uuid()
      const session = { id: uuid(), tenantId, accountId: id, state: 'created' as const }
      const stored = await database.transaction(async (tx) => {
        const ids = { accountId: id, sessionId: session.id, tenantId }
        await insertAccount(tx, ids, { name, metadata, desired: start ? 'running' : 'stopped' })
        return appendEvents(tx, [sessionEvent(session, 'session.created', { name })])
      })
      fanOut.publish(stored)
      if (start) reconciler.wake(session.id)
      return read(tenantId, id)
    },

    /** Newest first. Throws `invalid_cursor`. */
    async list(
      tenantId: string,
      { cursor, limit }: { cursor?: string; limit: number },
    ): Promise<{ data: AccountView[]; next_cursor: string | null }> {
      const after = cursor === undefined ? undefined : decodeCursor(cursor)
      const { accounts, next } = await pageOfAccounts(database, tenantId, { after, limit })
      return { data: accounts, next_cursor: next ? encodeCursor(next) : null }
    },

    /** Metadata is replaced as a whole. */
    async update(
      tenantId: string,
      id: string,
      change: { name?: string; metadata?: Record<string, unknown> },
    ): Promise<AccountView> {
      if (!(await updateAccount(database, tenantId, id, change))) throw new PalomarError('account_not_found')
      return read(tenantId, id)
    },

    /**
     * Logs out of WhatsApp when connected (best effort), then deletes the account with its session, messages and
     * credentials, archived ones too. Its node, now without a row, is stopped by the reconciler. Events stay.
     */
    async delete(tenantId: string, id: string): Promise<void> {
      const account = { tenantId, accountId: id }
      const { id: sessionId } = await lifecycle.logoutSession(account)
      await database.transaction(async (tx) => {
        await tx.query('delete from credential_archive where session_id = $1', [sessionId])
        await removeLane(tx, laneOf(id))
        await tx.query('delete from account where tenant_id = $1 and id = $2', [tenantId, id])
      })
      logger.info('account deleted', { account_id: id, session_id: sessionId })
      changes.changed(sessionId)
      reconciler.wake()
    },
  }
}
