/**
 * The log of a session's nodes: from the driver while a node's container is there, from Postgres when it has gone, and
 * across a replacement of the node while somebody follows.
 */
import type { Database } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { type NodeRow, readCurrentNode, readEndedLogs } from '../nodes/node-rows.ts'
import { type LogLine, type LogOptions, type Runtime, RuntimeError } from '../nodes/runtime/runtime.ts'
import type { SessionChanges } from './session-changes.ts'
import { type AccountRef, findSessionId } from './session-view.ts'

export interface SessionLogsOptions {
  database: Database
  runtime: Runtime
  changes: SessionChanges
  logger: Logger
}

/** how long nothing is heard of a next node before looking again */
const lookAgainMs = 1_000

export function createSessionLogs({ database, runtime, changes, logger }: SessionLogsOptions) {
  /** What is known now, oldest first: ended nodes' last lines, then the current node's. */
  async function known(
    sessionId: string,
    node: NodeRow | undefined,
    { tail, since }: LogOptions,
  ): Promise<LogLine[]> {
    const current: LogLine[] = []
    if (node?.handle) for await (const line of runtime.logs(node.handle, { tail, since })) current.push(line)
    if (tail !== undefined && current.length >= tail) return current
    const ended = await readEndedLogs(database.pool, sessionId)
    const lines = [...ended.filter((line) => !since || line.at >= since), ...current]
    return tail === undefined ? lines : lines.slice(Math.max(0, lines.length - tail))
  }

  /** The lines of one node that come after `place`, until it ends, its engine cuts the stream or the signal aborts. */
  async function* follow(
    node: NodeRow,
    place: Place,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<LogLine> {
    if (!node.handle) return
    try {
      const lines = runtime.logs(node.handle, { since: place.at, follow: true, signal })
      for await (const line of place.skipSeen(lines)) yield line
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      logger.warn('a followed log was cut', { session_id: node.sessionId, node_id: node.id, error })
    }
  }

  /**
   * The last `tail` lines since `since`, then with `follow` all that come, until the signal aborts or the account is
   * deleted. Throws `account_not_found`, and `runtime_unavailable` when the engine does not answer at the start.
   */
  return async function* sessionLogs(account: AccountRef, options: LogOptions): AsyncGenerator<LogLine> {
    const { signal } = options
    const sessionId = await findSessionId(database, account)
    let node = await readCurrentNode(database.pool, sessionId)
    const lines = await known(sessionId, node, options).catch((error: unknown) => {
      if (!(error instanceof RuntimeError)) throw error
      throw new PalomarError('runtime_unavailable', error.message, { cause: error })
    })
    yield* lines
    if (!options.follow) return

    let followed = node?.id
    let place = placeAfter(lines, options.since)
    while (!signal?.aborted) {
      const change = changes.next(sessionId, lookAgainMs, signal)
      if (node) yield* follow(node, place, signal)
      await change
      node = await readCurrentNode(database.pool, sessionId)
      if (node && node.id !== followed) {
        // Whatever it has said until now is news.
        place = placeAfter([], undefined)
        followed = node.id
      }
      if (!node && !(await exists(sessionId))) return
    }
  }

  async function exists(sessionId: string): Promise<boolean> {
    return (await database.prisma.session.count({ where: { id: sessionId } })) > 0
  }
}

type Place = ReturnType<typeof placeAfter>

/** Where a reader is in a log: the time of its last line, and what it has had of that very time. */
function placeAfter(lines: readonly LogLine[], since: Date | undefined) {
  const last = lines.at(-1)?.at
  const place = {
    at: last ?? since,
    had: lines.filter((line) => line.at.getTime() === last?.getTime()).map((line) => line.text),
    /** `lines` start at `at` or before; those that were had, and what stands before them, are left out */
    async *skipSeen(lines: AsyncIterable<LogLine>): AsyncGenerator<LogLine> {
      const before = place.at?.getTime() ?? Number.NEGATIVE_INFINITY
      const due = [...place.had]
      for await (const line of lines) {
        const time = line.at.getTime()
        if (time < before) continue
        if (time === before && due.length > 0) {
          if (line.text === due[0]) due.shift()
          continue
        }
        if (time !== place.at?.getTime()) place.had = []
        place.had.push(line.text)
        place.at = line.at
        yield line
      }
    },
  }
  return place
}
