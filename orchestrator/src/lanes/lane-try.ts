import type { Pool, PoolClient } from 'pg'
import { inTransaction, type Queryable } from '../db/database.ts'
import { oneLine } from '../db/startup-error.ts'
import { type Advance, type Claim, type Claims, release, type Want } from './claims.ts'
import { type LaneJob, type LaneOutcome, LeaseLostError } from './lane-job.ts'
import type { HeldLane } from './lease-keeper.ts'
import { type Turn, Withdrawn } from './turn.ts'

declare const finished: unique symbol
/** Proof that a handler has finished its job in a transaction of its own. */
export interface Finished {
  [finished]: true
}

export interface LaneTry {
  /** aborted when the lease is lost, or when the worker stops and its patience ends */
  signal: AbortSignal
  /** whether the job after it is in hand, too, and will be done as soon as this one is */
  readonly followed: boolean
  /** whether it is one of several: the job before it was in hand together with it, or the one after it is */
  readonly company: boolean
  /**
   * Resolves when it is this job's turn: those before it in the lane have been done. Until then only read.
   * Rejects, and must be let pass, when the job is not to be done now. Only with `ahead` is there anything to wait for.
   */
  mayDo(): Promise<void>
  /** The job is done, and only its end is still to be written: the next may be done meanwhile. */
  done(): void
  /**
   * Resolves when those before it have ended: await it before the transaction that ends this one begins. Rejects, and
   * must be let pass, when they have not: then this one is not ended either, and is tried again after them.
   */
  mayEnd(): Promise<void>
  /**
   * Ends the job in the caller's READ COMMITTED transaction, so that its own writes and the end of the job are one.
   * Put it last; return what it gives; let a failure pass, above all that of the commit.
   * Throws `LeaseLostError`, which must undo the transaction.
   */
  finish(tx: Queryable, outcome: LaneOutcome): Promise<Finished>
}

/** Does a job. What it throws is a try that failed, and is tried again. */
export type LaneHandler = (job: LaneJob, attempt: LaneTry) => Promise<LaneOutcome | Finished>

export interface TryOptions {
  pool: Pool
  claims: Claims
  handler: LaneHandler
  /** called in the transaction that ends a job as dead, whoever decided so: for the caller's own bookkeeping */
  onDead: ((tx: Queryable, job: LaneJob, error: string) => Promise<void>) | undefined
  backoffMs: (attempt: number) => number
  onError: (error: unknown, job?: LaneJob) => void
  leaseMs: number
}

/** What the worker is to hold once the try has ended. */
export interface Hold {
  want: Want
  /** the job after this one, which is at work already */
  begun: LaneJob | undefined
}

/** The job after this one, as far as it is in hand. */
export interface Following {
  readonly followed: boolean
  readonly company: boolean
  hold: () => Hold
  /** This one is to be tried again: resolves when what was begun behind it is at rest. */
  recall: () => Promise<void>
}

type EndOptions = Hold & { alone?: boolean }

/**
 * One try of a lane's job, from the handler to the end of the try in Postgres.
 * Throws `Withdrawn` when it was not its turn, `LeaseLostError` when the lane is in other hands, and what Postgres said
 * when it cannot be told.
 */
export async function runTry(
  options: TryOptions,
  claim: Pick<Claim, 'lease' | 'job'>,
  held: HeldLane,
  signal: AbortSignal,
  turn: Turn,
  next: Following,
): Promise<Advance> {
  const { job } = claim
  const { hold } = next
  let inCallersTransaction: { advance: Advance; begun: boolean } | undefined
  const end = (tx: Queryable, wanted: LaneOutcome, then: EndOptions) =>
    endTry(options, tx, claim, wanted, then)
  const outcome = await decide(options, job, {
    signal,
    get followed() {
      return next.followed
    },
    get company() {
      return next.company
    },
    mayDo: turn.mayDo,
    done: turn.done,
    mayEnd: turn.mayEnd,
    async finish(tx, wanted) {
      const then = hold()
      inCallersTransaction = { advance: await end(tx, wanted, then), begun: then.begun !== undefined }
      return {} as Finished
    },
  })
  if (!('result' in outcome) && inCallersTransaction) return inCallersTransaction.advance
  await turn.mayEnd()
  const settled: LaneOutcome =
    'result' in outcome ? outcome : { result: 'retry', error: 'The handler ended without an outcome.' }
  // With that the lane is free, and whoever takes it begins with this job.
  if (isTriedAgain(settled, job)) await next.recall()
  try {
    return await untilExpiry(held, options, () =>
      inOwnTransaction(options.pool, job, settled, (tx, alone) => end(tx, settled, { ...hold(), alone })),
    )
  } catch (error) {
    if (!(error instanceof LeaseLostError) || !inCallersTransaction) throw error
    // The handler failed after its transaction, which was committed after all: the job has ended there. Its next head
    // may be ours. If that is not at work yet it goes back, which fails if it is not ours.
    const { advance, begun } = inCallersTransaction
    if (begun) return advance
    if (advance.next) await release(options.pool, advance.next)
    return { next: null, dueInMs: advance.next ? 0 : advance.dueInMs }
  }
}

const isTriedAgain = ({ result }: LaneOutcome, { attempt, maxAttempts }: LaneJob) =>
  result === 'wait' || (result === 'retry' && attempt < maxAttempts)

async function decide({ handler, onError }: TryOptions, job: LaneJob, attempt: LaneTry) {
  // A job that lost its worker again and again has used up its tries without an end.
  if (job.attempt > job.maxAttempts) return { result: 'dead', error: 'Its workers were lost.' } as const
  try {
    return await handler(job, attempt)
  } catch (error) {
    if (error instanceof Withdrawn) throw error
    onError(error, job)
    return { result: 'retry', error: oneLine(error) } as const
  }
}

/** A death is told in the same transaction; all else is one statement. */
function inOwnTransaction(
  pool: Pool,
  job: LaneJob,
  outcome: LaneOutcome,
  end: (tx: Queryable, alone: boolean) => Promise<Advance>,
): Promise<Advance> {
  const last = outcome.result === 'retry' && job.attempt >= job.maxAttempts
  const simple = outcome.result !== 'dead' && !last
  return simple ? end(pool, true) : inTransaction(pool, (tx: PoolClient) => end(tx, false))
}

async function endTry(
  { claims, onDead, backoffMs, leaseMs }: TryOptions,
  tx: Queryable,
  claim: Pick<Claim, 'lease' | 'job'>,
  wanted: LaneOutcome,
  then: EndOptions,
): Promise<Advance> {
  const { job } = claim
  const exhausted = wanted.result === 'retry' && job.attempt >= job.maxAttempts
  const outcome: LaneOutcome = exhausted ? { result: 'dead', error: wanted.error } : wanted
  if (outcome.result === 'dead') await onDead?.(tx, job, outcome.error)
  const again = outcome.result === 'retry' || outcome.result === 'wait'
  const retryMs = again ? (outcome.afterMs ?? backoffMs(job.attempt)) : 0
  return claims.finish(tx, claim, outcome, { retryMs, ...then, leaseMs })
}

/** The work is done and only its record is missing: a short failure of Postgres must not make it be done again. */
async function untilExpiry<T>(held: HeldLane, { onError }: TryOptions, write: () => Promise<T>): Promise<T> {
  for (let pauseMs = 50; ; pauseMs *= 2) {
    try {
      return await write()
    } catch (error) {
      if (error instanceof LeaseLostError || Date.now() + pauseMs > held.expiresAt()) throw error
      onError(error)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}
