/** A session as callers see it. */
import type { Database } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { SessionState } from './state-table.ts'

export interface AccountRef {
  tenantId: string
  accountId: string
}

export interface SessionView {
  id: string
  account_id: string
  desired: 'running' | 'stopped'
  state: SessionState
  /** WhatsApp's disconnect code, and why it is in this state */
  code: number | null
  reason: string | null
  /** ISO 8601, as all times */
  since: string
  connected_at: string | null
  me: { jid: string; pn?: string; lid?: string; name?: string } | null
  /** the node that runs it now, or the last one */
  node: NodeView | null
}

export interface NodeView {
  id: string
  driver: string
  /** starting | running | stopping | exited | stopped */
  status: string
  /** unknown | healthy | unhealthy */
  health: string
  address: string | null
  port: number | null
  /** nodes of this session that were replaced because they ended unasked */
  restarts: number
  started_at: string
  last_seen_at: string | null
  exit_code: number | null
  exit_reason: string | null
}

/** Throws `account_not_found`, also for an account of another tenant or one that has no session. */
export async function readSession(
  database: Database,
  { tenantId, accountId }: AccountRef,
): Promise<SessionView> {
  const session = await database.prisma.session.findFirst({
    where: { accountId, tenantId },
    omit: { creds: true },
    include: {
      nodes: { orderBy: [{ startedAt: 'desc' }, { id: 'desc' }], take: 1, omit: { lastLogs: true } },
    },
  })
  if (!session) throw new PalomarError('account_not_found')
  const [node] = session.nodes
  return {
    id: session.id,
    account_id: session.accountId,
    desired: session.desired as SessionView['desired'],
    state: session.state as SessionState,
    code: session.stateCode,
    reason: session.stateReason,
    since: session.stateSince.toISOString(),
    connected_at: session.connectedAt?.toISOString() ?? null,
    me: session.me as SessionView['me'],
    node: node
      ? {
          id: node.id,
          driver: node.driver,
          status: node.status,
          health: node.health,
          address: node.address,
          port: node.port,
          restarts: session.restarts,
          started_at: node.startedAt.toISOString(),
          last_seen_at: node.lastSeenAt?.toISOString() ?? null,
          exit_code: node.exitCode,
          exit_reason: node.exitReason,
        }
      : null,
  }
}

/** The id of the account's session. Throws `account_not_found`. */
export async function findSessionId(
  database: Database,
  { tenantId, accountId }: AccountRef,
): Promise<string> {
  const session = await database.prisma.session.findFirst({
    where: { accountId, tenantId },
    select: { id: true },
  })
  if (!session) throw new PalomarError('account_not_found')
  return session.id
}
