/**
 * What the reconciler does to nodes, one function an action. Each is safe to repeat: a row is written before the driver
 * is asked for a node and closed after it has one less, so whatever is cut short in between is seen and done again.
 */
import { v7 as uuid } from 'uuid'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { NodeClients } from '../nodes/node-clients.ts'
import { endNode, insertNode, type NodeRow, readCurrentNode, saveWhereabouts } from '../nodes/node-rows.ts'
import { type LogLine, type NodeSpec, type Runtime, RuntimeError } from '../nodes/runtime/runtime.ts'
import { nextTry } from './back-off.ts'
import { changeState } from './change-state.ts'
import { DeadlineError, within } from './deadline.ts'
import { type Ending, wantsNode } from './reconcile-session.ts'
import type { SessionRow } from './session-row.ts'
import { changeSession, type SessionTransactions } from './session-transaction.ts'

export interface NodeTimeouts {
  startMs: number
  /** from SIGTERM to SIGKILL */
  graceMs: number
  /** any other call of the driver */
  callMs: number
}

export interface NodeActionsOptions extends SessionTransactions {
  runtime: Runtime
  clients: NodeClients
  specOf(sessionId: string, nodeId: string): NodeSpec
  logger: Logger
  metrics: Metrics
  timeouts: NodeTimeouts
}

export type NodeActions = ReturnType<typeof createNodeActions>

const keptLines = 200
/** a node that is stuck is not given long to say goodbye */
const stuckGraceMs = 2_000

export function createNodeActions(options: NodeActionsOptions) {
  const { database, runtime, clients, specOf, changes, logger, metrics, timeouts } = options
  const { pool } = database
  const fieldsOf = (node: NodeRow) => ({ session_id: node.sessionId, node_id: node.id })

  /** A new node, unless the session no longer wants one. False when it could not be started. */
  async function start(sessionId: string): Promise<boolean> {
    const id = uuid()
    let node: NodeRow | undefined
    await changeSession(options, sessionId, async (tx, session) => {
      if (!wantsNode(session) || (await readCurrentNode(tx, sessionId))) return []
      await insertNode(tx, { id, sessionId, tenantId: session.tenantId, driver: runtime.kind })
      node = await readCurrentNode(tx, sessionId)
      return (await changeState(tx, session, 'node_starting')).events
    })
    return node ? launch(node) : true
  }

  /** Asks the driver for the node of that row; by its name, so asking twice gives the same one. False: not started. */
  async function launch(node: NodeRow): Promise<boolean> {
    const begun = performance.now()
    const done = (result: string) => metrics.nodeStarts.inc({ driver: runtime.kind, result })
    try {
      const work = runtime.start(specOf(node.sessionId, node.id))
      const { handle, address } = await within(timeouts.startMs, 'the start of a node', work)
      await saveWhereabouts(pool, node.id, handle, address)
      done('started')
      const ms = Math.round(performance.now() - begun)
      logger.info('node started', { ...fieldsOf(node), driver: runtime.kind, address, ms })
      changes.changed(node.sessionId)
      return true
    } catch (error) {
      if (!(error instanceof RuntimeError || error instanceof DeadlineError)) throw error
      done(error.code)
      logger.warn('node did not start', { ...fieldsOf(node), error })
      if (error.code === 'engine_unavailable') await excuse(node.sessionId, error.message)
      else
        await close(node, {
          reason: `its node did not start: ${error.message}`,
          exitCode: null,
          oomKilled: false,
        })
      return false
    }
  }

  /** The engine's absence is no failure of the session: said, not counted. */
  async function excuse(sessionId: string, reason: string): Promise<void> {
    await changeSession(
      options,
      sessionId,
      async (tx, session) => (await changeState(tx, session, 'node_starting', { reason })).events,
    )
  }

  /** It was asked to end. */
  async function stop(node: NodeRow): Promise<void> {
    const lastLogs = await lastLines(node)
    await remove(node, timeouts.graceMs)
    await endNode(pool, node.id, {
      status: 'stopped',
      exitCode: null,
      reason: 'it was asked to stop',
      lastLogs,
    })
    logger.info('node stopped', fieldsOf(node))
    changes.changed(node.sessionId)
  }

  /** It ended by itself; what is left of it is removed. */
  async function bury(node: NodeRow, ending: Ending): Promise<void> {
    const lastLogs = await lastLines(node)
    await close(node, ending, lastLogs)
    await remove(node, 0)
  }

  /** It runs but is of no use. */
  async function replace(node: NodeRow, reason: string): Promise<void> {
    const lastLogs = await lastLines(node)
    await remove(node, stuckGraceMs)
    await close(node, { reason, exitCode: null, oomKilled: false }, lastLogs)
  }

  /** Writes down how the node ended, and when the next one may start. */
  async function close(node: NodeRow, ending: Ending, lastLogs?: LogLine[]): Promise<void> {
    await changeSession(options, node.sessionId, async (tx, session) => {
      const ended = await endNode(tx, node.id, { ...ending, status: 'exited', lastLogs })
      if (!ended) return []
      const { oomKilled } = ending
      const next = nextTry({ failures: session.failures, activeMs: activeMs(session, node), oomKilled })
      await tx.query(
        `update session set failures = $2, restarts = restarts + 1, not_before = now() + $3 * interval '1 ms'
         where id = $1`,
        [session.id, next.failures, next.delayMs],
      )
      metrics.nodeExits.inc({ reason: oomKilled ? 'oom' : lastLogs ? 'exit' : 'start' })
      const { failures, delayMs, crashLoop } = next
      logger.warn('node ended unasked', { ...fieldsOf(node), ...ending, failures, next_in_ms: delayMs })
      const exited = await changeState(tx, session, 'node_exited', { reason: ending.reason })
      if (!crashLoop) return exited.events
      const reason = crashLoopReason(failures, ending.reason, lastLogs)
      const looping = await changeState(tx, exited.session, 'crash_loop', { reason })
      return [...exited.events, ...looping.events]
    })
  }

  async function remove(node: NodeRow, graceMs: number): Promise<void> {
    if (node.handle)
      await within(graceMs + timeouts.callMs, 'the stop of a node', runtime.stop(node.handle, graceMs))
    await clients.close(node.id)
  }

  /** Best effort: a driver that cannot read logs keeps no node alive. */
  async function lastLines(node: NodeRow): Promise<LogLine[] | undefined> {
    const { handle } = node
    if (!handle) return undefined
    try {
      return await within(
        timeouts.callMs,
        'the reading of logs',
        readAll(runtime.logs(handle, { tail: keptLines })),
      )
    } catch (error) {
      logger.warn('the last log lines of a node could not be read', { ...fieldsOf(node), error })
      return undefined
    }
  }

  return { start, launch, stop, bury, replace }
}

async function readAll(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
  const all: LogLine[] = []
  for await (const line of lines) all.push(line)
  return all
}

/** How long the session had been active with this node; null when it never was. */
function activeMs({ connectedAt }: SessionRow, { startedAt }: NodeRow): number | null {
  return connectedAt && connectedAt > startedAt ? Date.now() - connectedAt.getTime() : null
}

function crashLoopReason(failures: number, reason: string, lines: LogLine[] = []): string {
  const last = lines
    .slice(-3)
    .map((line) => line.text.slice(0, 200))
    .join(' | ')
  return `${failures} nodes in a row ended before the session was active; the last: ${reason}${last && `: ${last}`}`
}
