/** Rows of accounts, and how callers see them. */
import type pg from 'pg'
import type { Place } from '../db/cursor.ts'
import type { Database } from '../db/database.ts'
import type { AccountGetPayload } from '../db/generated/models.ts'
import { postgresJson, postgresText } from '../events/postgres-json.ts'
import type { SessionState } from '../sessions/state-table.ts'

export interface AccountView {
  id: string
  name: string
  /** baileys: a linked device */
  channel: string
  /** digits; known once paired */
  phone: string | null
  lid: string | null
  push_name: string | null
  metadata: Record<string, unknown>
  /** of its session */
  state: SessionState
  /** ISO 8601 */
  created_at: string
  updated_at: string
}

const withState = { session: { select: { state: true } } } as const

export async function findAccount(
  { prisma }: Database,
  tenantId: string,
  id: string,
): Promise<AccountView | undefined> {
  const row = await prisma.account.findFirst({ where: { id, tenantId }, include: withState })
  return row ? viewAccount(row) : undefined
}

/** Newest first; `next` is the place after which the next page begins, if there is one. */
export async function pageOfAccounts(
  { prisma }: Database,
  tenantId: string,
  { after, limit }: { after: Place | undefined; limit: number },
): Promise<{ accounts: AccountView[]; next: Place | undefined }> {
  const older = after && [{ createdAt: { lt: after.at } }, { createdAt: after.at, id: { lt: after.id } }]
  const rows = await prisma.account.findMany({
    where: { tenantId, ...(older && { OR: older }) },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: limit + 1,
    include: withState,
  })
  const page = rows.slice(0, limit)
  const last = rows.length > limit ? page.at(-1) : undefined
  return { accounts: page.map(viewAccount), next: last && { at: last.createdAt, id: last.id } }
}

/** The account and its session. */
export async function insertAccount(
  tx: pg.ClientBase,
  ids: { accountId: string; sessionId: string; tenantId: string },
  account: { name: string; metadata: Record<string, unknown>; desired: 'running' | 'stopped' },
): Promise<void> {
  await tx.query(
    'insert into account (id, tenant_id, name, metadata, updated_at) values ($1, $2, $3, $4, now())',
    [ids.accountId, ids.tenantId, postgresText(account.name), postgresJson(account.metadata)],
  )
  await tx.query('insert into session (id, account_id, tenant_id, desired) values ($1, $2, $3, $4)', [
    ids.sessionId,
    ids.accountId,
    ids.tenantId,
    account.desired,
  ])
}

/** False when the tenant has no such account. */
export async function updateAccount(
  { pool }: Database,
  tenantId: string,
  id: string,
  { name, metadata }: { name?: string; metadata?: Record<string, unknown> },
): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update account set updated_at = now(), name = coalesce($3, name), metadata = coalesce($4, metadata)
     where tenant_id = $1 and id = $2`,
    [tenantId, id, name === undefined ? null : postgresText(name), metadata ? postgresJson(metadata) : null],
  )
  return rowCount === 1
}

function viewAccount(row: AccountGetPayload<{ include: typeof withState }>): AccountView {
  return {
    id: row.id,
    name: row.name,
    channel: row.channel,
    phone: row.phone,
    lid: row.lid,
    push_name: row.pushName,
    metadata: row.metadata as Record<string, unknown>,
    state: (row.session?.state ?? 'created') as SessionState,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  }
}
