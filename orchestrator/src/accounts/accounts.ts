/**
 * Accounts: WhatsApp numbers of a tenant. Every function takes the tenant and sees nothing of another one's: what is
 * not the tenant's does not exist (`account_not_found`).
 */
import type pg from 'pg'
import { v7 as uuid } from 'uuid'
import { PalomarError } from '../errors.ts'
import { appendEvents } from '../events/event-log.ts'
import { postgresJson, postgresText } from '../events/postgres-json.ts'
import type { Logger } from '../logger.ts'
import { decodeCursor, encodeCursor } from '../messages/cursor.ts'
import { sessionEvent } from '../sessions/change-state.ts'
import type { Lifecycle } from '../sessions/lifecycle.ts'
import type { Reconciler } from '../sessions/reconciler.ts'
import type { SessionTransactions } from '../sessions/session-transaction.ts'
import { type AccountView, viewAccount, withState } from './account-view.ts'

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
  const { prisma } = database

  async function read(tenantId: string, id: string): Promise<AccountView> {
    const row = await prisma.account.findFirst({ where: { id, tenantId }, include: withState })
    if (!row) throw new PalomarError('account_not_found')
    return viewAccount(row)
  }

  return {
    read,

    /** The account, its session and their event, or nothing. The session's node is on its way when this returns. */
    async create(tenantId: string, { name, metadata = {}, start = true }: NewAccount): Promise<AccountView> {
      const id = uuid()
      const session = { id: uuid(), tenantId, accountId: id, state: 'created' as const }
      const stored = await database.transaction(async (tx) => {
        await insert(tx, session, name, metadata, start ? 'running' : 'stopped')
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
      const rows = await prisma.account.findMany({
        where: {
          tenantId,
          ...(after && {
            OR: [{ createdAt: { lt: after.at } }, { createdAt: after.at, id: { lt: after.id } }],
          }),
        },
        orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
        take: limit + 1,
        include: withState,
      })
      const page = rows.slice(0, limit)
      const last = page.at(-1)
      const more = rows.length > limit && last
      return {
        data: page.map(viewAccount),
        next_cursor: more ? encodeCursor({ at: last.createdAt, id: last.id }) : null,
      }
    },

    /** Metadata is replaced as a whole. */
    async update(
      tenantId: string,
      id: string,
      { name, metadata }: { name?: string; metadata?: Record<string, unknown> },
    ): Promise<AccountView> {
      const { rowCount } = await database.pool.query(
        `update account set updated_at = now(), name = coalesce($3, name), metadata = coalesce($4, metadata)
         where tenant_id = $1 and id = $2`,
        [
          tenantId,
          id,
          name === undefined ? null : postgresText(name),
          metadata ? postgresJson(metadata) : null,
        ],
      )
      if (rowCount === 0) throw new PalomarError('account_not_found')
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
        await tx.query('delete from account where tenant_id = $1 and id = $2', [tenantId, id])
      })
      logger.info('account deleted', { account_id: id, session_id: sessionId })
      changes.changed(sessionId)
      reconciler.wake()
    },
  }
}

async function insert(
  tx: pg.ClientBase,
  session: { id: string; tenantId: string; accountId: string },
  name: string,
  metadata: Record<string, unknown>,
  desired: 'running' | 'stopped',
): Promise<void> {
  await tx.query(
    'insert into account (id, tenant_id, name, metadata, updated_at) values ($1, $2, $3, $4, now())',
    [session.accountId, session.tenantId, postgresText(name), postgresJson(metadata)],
  )
  await tx.query('insert into session (id, account_id, tenant_id, desired) values ($1, $2, $3, $4)', [
    session.id,
    session.accountId,
    session.tenantId,
    desired,
  ])
}
