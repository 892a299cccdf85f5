/**
 * What to do for one session now, as a pure function of its row, its current node's row and what was observed of that
 * node. Acting on it and looking again is the reconciler's whole work, so a restart misses nothing.
 */
import type { NodeStatus } from '../nodes/runtime/runtime.ts'
import type { SessionRow } from './session-row.ts'

/** statuses of a node that is not over; a session has at most one such node */
export const liveStatuses = ['starting', 'running', 'stopping'] as const

export interface CurrentNode {
  status: (typeof liveStatuses)[number]
  /** the driver has told how to find it */
  started: boolean
  startedAt: Date
  attachedAt: Date | null
  lastSeenAt: Date | null
  failedProbes: number
}

export interface Ending {
  reason: string
  exitCode: number | null
  oomKilled: boolean
}

export type Action =
  | { do: 'nothing' }
  /** a new node; `at`: not before */
  | { do: 'start'; at?: Date }
  /** its start did not come to an end that we know: the same node again, by name */
  | { do: 'start_again' }
  | { do: 'keep'; address: string; healthy: boolean }
  /** as was asked; also what is left of a node that ended meanwhile */
  | { do: 'stop' }
  /** it ended unasked */
  | { do: 'bury'; ending: Ending }
  /** it runs, but is of no use */
  | { do: 'replace'; reason: string }

export interface Observation {
  status: NodeStatus
  /** whether it answered its health probe as the node that it should be; undefined: not asked */
  healthy?: boolean
}

const maxFailedProbes = 3
const maxSilenceMs = 15_000
/** a healthy node attaches within a second, unless it cannot reach the orchestrator */
const attachTimeoutMs = 60_000

export const wantsNode = (session: Pick<SessionRow, 'desired' | 'state'>): boolean =>
  session.desired === 'running' && session.state !== 'logged_out'

export function reconcileSession(
  session: Pick<SessionRow, 'desired' | 'state' | 'notBefore'>,
  node: CurrentNode | undefined,
  { status, healthy }: Observation,
  now: Date,
): Action {
  const wanted = wantsNode(session)
  if (!node) {
    if (!wanted) return { do: 'nothing' }
    return session.notBefore && session.notBefore > now
      ? { do: 'start', at: session.notBefore }
      : { do: 'start' }
  }
  // What the engine did not tell may still run: starting another, or forgetting this one, would be two for one session.
  if (status.status === 'unknown') return { do: 'nothing' }
  if (!wanted || node.status === 'stopping') return { do: 'stop' }
  if (status.status === 'gone')
    return node.started
      ? { do: 'bury', ending: { reason: 'it vanished', exitCode: null, oomKilled: false } }
      : { do: 'start_again' }
  if (status.status === 'exited') {
    const { reason, exitCode, oomKilled } = status
    return { do: 'bury', ending: { reason, exitCode, oomKilled } }
  }
  if (healthy) {
    const neverAttached = !node.attachedAt && now.getTime() - node.startedAt.getTime() > attachTimeoutMs
    if (neverAttached)
      return { do: 'replace', reason: 'it never reached the orchestrator: is the internal address right?' }
    return { do: 'keep', address: status.address, healthy: true }
  }
  const silentMs = now.getTime() - (node.lastSeenAt ?? node.startedAt).getTime()
  if (node.failedProbes + 1 >= maxFailedProbes && silentMs > maxSilenceMs)
    return { do: 'replace', reason: `it did not answer for ${Math.round(silentMs / 1_000)} s` }
  return { do: 'keep', address: status.address, healthy: false }
}
