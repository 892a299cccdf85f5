/** Stops nodes that nobody wants: without a row (their account was deleted), over, or not their session's newest. */
import type pg from 'pg'
import { validate as isUuid } from 'uuid'
import type { Logger } from '../logger.ts'
import { Limit } from '../nodes/runtime/limit.ts'
import type { ListedNode, Runtime } from '../nodes/runtime/runtime.ts'
import { within } from './deadline.ts'
import type { NodeTimeouts } from './node-actions.ts'

export interface StraySweepOptions {
  pool: Pick<pg.Pool, 'query'>
  runtime: Runtime
  logger: Logger
  timeouts: NodeTimeouts
}

const stopsAtOnce = 4

export function createStraySweep({ pool, runtime, logger, timeouts }: StraySweepOptions) {
  const stops = new Limit(stopsAtOnce)
  const underWay = new Map<string, Promise<void>>()

  async function end(node: ListedNode): Promise<void> {
    const { session_id, node_id } = node.labels
    try {
      const { graceMs, callMs } = timeouts
      await within(graceMs + callMs, 'the stop of a stray', runtime.stop(node.handle, graceMs))
      logger.info('stray node stopped', { session_id, node_id, was: node.status.status })
    } catch (error) {
      logger.warn('a stray node could not be stopped', { session_id, node_id, error })
    }
  }

  return {
    /** `listed` must be older than the rows: a node is listed only after its row was written. Does not wait for stops. */
    async sweep(listed: readonly ListedNode[]): Promise<void> {
      const known = listed.filter((node) => node.status.status !== 'unknown' && node.status.status !== 'gone')
      if (known.length === 0) return
      const { rows } = await pool.query<{ id: string }>(
        `select distinct on (session_id) id from node
         where status in ('starting', 'running', 'stopping') and session_id in (
           select session_id from node where id = any($1::uuid[]))
         order by session_id, started_at desc, id desc`,
        [known.map((node) => node.labels.node_id).filter(isUuid)],
      )
      const live = new Set(rows.map((row) => row.id))
      for (const node of known) {
        if (live.has(node.labels.node_id ?? '') || underWay.has(node.name)) continue
        const stop = stops.run(() => end(node)).finally(() => underWay.delete(node.name))
        underWay.set(node.name, stop)
      }
    },
    async drain(): Promise<void> {
      await Promise.all(underWay.values())
    },
  }
}
