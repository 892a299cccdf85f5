/** The lanes of outgoing messages at work. */
import type { Database, Queryable } from '../db/database.ts'
import { resumeLane } from '../lanes/lane-control.ts'
import { LaneWorker } from '../lanes/lane-worker.ts'
import type { Logger } from '../logger.ts'
import { createDispatcher, type DispatcherOptions } from './dispatcher.ts'
import { laneOf, SEND_QUEUE } from './send-job.ts'
import { sendLookUp } from './send-work.ts'

export interface SendWorkerOptions extends DispatcherOptions {
  leaseMs?: number
}

export interface SendWorker {
  start(): void
  /** There is something to send, where it is known for whom: call it after the commit that made it so. */
  wake(accountIds?: readonly string[]): void
  /** The same behind a commit that was just sent: see `LaneWorker`. */
  claimBehind(connection: Queryable, accountIds: readonly string[]): Promise<unknown> | undefined
  /** The account's session is connected: what waited for it goes on. Never throws; a failure is logged. */
  resume(accountId: string): Promise<void>
  /** False when a send was still under way after the time; it is tried again under its id by whoever comes next. */
  stop(graceMs: number): Promise<boolean>
}

/** accounts with a send under way at a time: those that wait for the network are no burden, see `SendPlaces` */
const ACCOUNTS_AT_A_TIME = 256
/** so long an account's messages wait when their orchestrator was killed; a send that is under way then is joined */
const LEASE_MS = 10_000

export function createSendWorker(options: SendWorkerOptions): SendWorker {
  const { database, logger, leaseMs = LEASE_MS } = options
  const worker = new LaneWorker({
    pool: database.pool,
    queue: SEND_QUEUE,
    lookUp: sendLookUp,
    ...createDispatcher(options),
    concurrency: ACCOUNTS_AT_A_TIME,
    leaseMs,
    // A pace counts from the end of the one before.
    ahead: options.paceMs === 0,
    onError: (error, job) =>
      logger.error('a lane of outgoing messages failed', { error, job_id: job?.id, lane: job?.key }),
  })
  return {
    start: () => worker.start(),
    wake: (accountIds) => worker.wake(accountIds?.map(laneOf)),
    claimBehind: (connection, accountIds) => worker.claimBehind(connection, accountIds.map(laneOf)),
    resume: (accountId) => resume(database, logger, accountId).then(() => worker.wake()),
    stop: (graceMs) => worker.stop(graceMs),
  }
}

async function resume({ pool }: Database, logger: Logger, accountId: string): Promise<void> {
  try {
    await resumeLane(pool, laneOf(accountId))
  } catch (error) {
    // The pause has an end of its own.
    logger.error('a lane could not be resumed', { account_id: accountId, error })
  }
}
