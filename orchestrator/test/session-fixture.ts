/** Rows that tests of sessions start from. */
import { v7 as uuid } from 'uuid'
import type { Database } from '../src/db/database.ts'
import { lockSession, type SessionRow } from '../src/sessions/session-row.ts'
import type { SessionState } from '../src/sessions/state-table.ts'

export async function createTenant(database: Database): Promise<string> {
  const id = uuid()
  await database.prisma.tenant.create({ data: { id, name: 'test' } })
  return id
}

export interface SessionFixture {
  tenantId: string
  accountId: string
  sessionId: string
}

export async function createSession(
  database: Database,
  options: { tenantId?: string; state?: SessionState; desired?: 'running' | 'stopped' } = {},
): Promise<SessionFixture> {
  const tenantId = options.tenantId ?? (await createTenant(database))
  const accountId = uuid()
  const sessionId = uuid()
  const { state = 'created', desired = 'running' } = options
  await database.prisma.account.create({
    data: {
      id: accountId,
      tenantId,
      name: 'test',
      session: { create: { id: sessionId, tenantId, state, desired } },
    },
  })
  return { tenantId, accountId, sessionId }
}

/** A node row as the reconciler leaves it; its id. */
export async function createNode(
  database: Database,
  { sessionId, tenantId }: SessionFixture,
  status = 'running',
): Promise<string> {
  const id = uuid()
  await database.prisma.node.create({ data: { id, sessionId, tenantId, driver: 'fake', status } })
  return id
}

/** The session's row as a transaction sees it. */
export async function readSessionRow(database: Database, sessionId: string): Promise<SessionRow> {
  const row = await database.transaction((tx) => lockSession(tx, sessionId))
  if (!row) throw new Error(`no session ${sessionId}`)
  return row
}
