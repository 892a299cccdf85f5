/** Rows of nodes: the one that runs a session now, and those that did lately. */
import type pg from 'pg'
import { prepared, type Queryable } from '../db/database.ts'
import { postgresJson, postgresText } from '../events/postgres-json.ts'
import type { Handle, LogLine } from './runtime/runtime.ts'

export interface NodeRow {
  id: string
  sessionId: string
  tenantId: string
  handle: Handle | null
  address: string | null
  status: 'starting' | 'running' | 'stopping'
  health: 'unknown' | 'healthy' | 'unhealthy'
  failedProbes: number
  startedAt: Date
  attachedAt: Date | null
  lastSeenAt: Date | null
}

/** how many ended nodes of a session are remembered */
const kept = 20

const current = prepared<NodeRow>(
  'node_current',
  `select id, session_id as "sessionId", tenant_id as "tenantId", handle, address, status, health,
     failed_probes as "failedProbes", started_at as "startedAt", attached_at as "attachedAt",
     last_seen_at as "lastSeenAt"
   from node where session_id = $1 and status in ('starting', 'running', 'stopping')
   order by started_at desc, id desc limit 1`,
)

/** The session's node that is not over, if there is one. */
export async function readCurrentNode(db: Queryable, sessionId: string): Promise<NodeRow | undefined> {
  return (await current(db, [sessionId]))[0]
}

/** A new node's row; the session must be locked. Forgets the oldest of those that have ended. */
export async function insertNode(
  tx: pg.ClientBase,
  node: { id: string; sessionId: string; tenantId: string; driver: string },
): Promise<void> {
  await tx.query('insert into node (id, session_id, tenant_id, driver) values ($1, $2, $3, $4)', [
    node.id,
    node.sessionId,
    node.tenantId,
    node.driver,
  ])
  await tx.query(
    `delete from node where session_id = $1 and status in ('exited', 'stopped') and id not in
       (select id from node where session_id = $1 order by started_at desc, id desc limit ${kept})`,
    [node.sessionId],
  )
}

/** Where the driver says it is. */
export async function saveWhereabouts(
  db: Queryable,
  nodeId: string,
  handle: Handle,
  address: string,
): Promise<void> {
  await db.query({
    text: 'update node set handle = $2, address = $3, port = $4 where id = $1',
    values: [nodeId, JSON.stringify(handle), address, portOf(address)],
  })
}

export async function saveProbe(db: Queryable, nodeId: string, healthy: boolean): Promise<void> {
  await db.query({
    name: 'node_probe',
    text: `update node set
        health = case when $2 then 'healthy' else 'unhealthy' end,
        failed_probes = case when $2 then 0 else failed_probes + 1 end,
        last_seen_at = case when $2 then now() else last_seen_at end
      where id = $1`,
    values: [nodeId, healthy],
  })
}

export interface NodeEnd {
  /** asked (`stopped`) or not (`exited`) */
  status: 'exited' | 'stopped'
  exitCode: number | null
  reason: string
  /** undefined: nobody could read them */
  lastLogs: LogLine[] | undefined
}

/** False when the node was over already. */
export async function endNode(db: Queryable, nodeId: string, end: NodeEnd): Promise<boolean> {
  const { rowCount } = await db.query({
    text: `update node set status = $2, exited_at = now(), exit_code = $3, exit_reason = $4, last_logs = $5,
        health = 'unknown'
      where id = $1 and status in ('starting', 'running', 'stopping')`,
    values: [
      nodeId,
      end.status,
      end.exitCode,
      postgresText(end.reason),
      end.lastLogs ? postgresJson(end.lastLogs) : null,
    ],
  })
  return rowCount === 1
}

function portOf(address: string): number | null {
  const { port, protocol } = new URL(address)
  return Number(port) || (protocol === 'http:' ? 80 : null)
}

/** The last lines of the session's nodes that are over, oldest first. */
export async function readEndedLogs(db: Queryable, sessionId: string): Promise<LogLine[]> {
  const { rows } = await db.query<{ lines: (Omit<LogLine, 'at'> & { at: string })[] }>({
    text: `select last_logs as lines from node
      where session_id = $1 and status in ('exited', 'stopped') and last_logs is not null
      order by started_at, id`,
    values: [sessionId],
  })
  return rows.flatMap((row) => row.lines.map((line) => ({ ...line, at: new Date(line.at) })))
}
