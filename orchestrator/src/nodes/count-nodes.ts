/** How many nodes should run, and how they are. */
import { prepared, type Queryable } from '../db/database.ts'

export interface NodeCounts {
  wanted: number
  healthy: number
  unhealthy: number
  /** none yet, or one that has not been probed */
  starting: number
}

const count = prepared<NodeCounts>(
  'nodes_count',
  `select count(*)::int as wanted,
     count(*) filter (where n.health = 'healthy')::int as healthy,
     count(*) filter (where n.health = 'unhealthy')::int as unhealthy,
     count(*) filter (where n.health is null or n.health = 'unknown')::int as starting
   from session s left join lateral (
     select health from node where session_id = s.id and status in ('starting', 'running')
     order by started_at desc limit 1
   ) n on true
   where s.desired = 'running'`,
)

export async function countNodes(db: Queryable): Promise<NodeCounts> {
  const [counts] = await count(db)
  if (!counts) throw new Error('a count gave no row')
  return counts
}
