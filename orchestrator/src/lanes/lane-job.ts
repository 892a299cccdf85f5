/**
 * A lane is a queue for one key (an account, a webhook endpoint), and lanes run beside each other. The rules:
 *
 * - One job of a lane is done at a time.
 * - Of a lane's jobs whose time has come, the one with the greatest priority goes first, then the one enqueued first.
 *   A job with a `runAt` in the future takes no part until then; then it has the place of its enqueuing.
 * - A worker that says so may hold the job after the head, too, and do it while the head's end is being written: the
 *   head has been done by then, and ends are written in order. What a worker holds is not cancelled.
 * - A job that was begun stays at the head until it is done or dead: while it waits for its next try, nobody of its
 *   lane overtakes it, whatever the priority.
 * - A job is tried at most `maxAttempts` times; then it is dead, with its reason, and the lane goes on.
 * - A try may happen twice when a worker is lost in its midst: handlers must be able to bear that, or do all they do
 *   in the transaction in which they finish the job.
 */
export interface LaneJob {
  /** a bigint, as text */
  id: string
  key: string
  /** what is to be done; handlers branch on it */
  kind: string
  /** the greater goes first */
  priority: number
  /** JSON, as it was enqueued: the handler parses it */
  payload: unknown
  /** 1 for the first try */
  attempt: number
  maxAttempts: number
  createdAt: Date
  /**
   * What the queue's look-up found as the job was handed out. Undefined where there is no look-up, or where it saw
   * nothing: it may have looked a moment before the transaction that enqueued the job had ended.
   */
  found: unknown
}

export interface NewLaneJob {
  /** `<queue>:<id>`; a worker serves one queue */
  key: string
  /** whose lane it is, noted when the lane is made */
  tenantId?: string
  kind: string
  /** anything that JSON can say */
  payload: unknown
  /** default 0 */
  priority?: number
  /** not before; default: at once */
  runAt?: Date
  /** default 10 */
  maxAttempts?: number
}

/** How a try ended. */
export type LaneOutcome =
  | {
      result: 'done'
      /** the least time until the lane's next start; default: the lane's own pace */
      paceMs?: number
    }
  | {
      result: 'retry'
      error: string
      /** default: the worker's back-off */
      afterMs?: number
    }
  | {
      /** it could not be tried now, through no fault of its own: like a retry, but it does not count as a try */
      result: 'wait'
      error: string
      /** default: the worker's back-off */
      afterMs?: number
    }
  | { result: 'dead'; error: string }

/** The lane was given to another worker, because the lease ran out: what this try wants to write is void. */
export class LeaseLostError extends Error {
  override name = 'LeaseLostError'
}
