import type { QueryConfig } from 'pg'
import { prepared, type Queryable } from '../db/database.ts'
import type { NewLaneJob } from './lane-job.ts'

const insert = prepared<{ id: string }>(
  'lane-enqueue',
  `select lane_enqueue($1::text[], $2::uuid[], $3::text[], $4::integer[], $5::timestamptz[], $6::integer[],
    $7::jsonb[]) as id`,
)

/**
 * Adds jobs, one statement for all, and returns their ids in the same order. In a caller's transaction they land with
 * all else or not at all; after its commit, call the worker's `wake`.
 *
 * Locks the lanes until the transaction ends: put it last. Two transactions that enqueue for several lanes in several
 * calls must do so in the same order.
 */
export async function enqueue(tx: Queryable, jobs: NewLaneJob[]): Promise<string[]> {
  if (jobs.length === 0) return []
  return (await insert(tx, valuesOf(jobs))).map((row) => row.id)
}

/** The statement of `enqueue`, to be sent with the commit. */
export function enqueuing(jobs: NewLaneJob[]): QueryConfig {
  return insert.with(valuesOf(jobs))
}

function valuesOf(jobs: NewLaneJob[]): unknown[] {
  return [
    jobs.map((job) => job.key),
    jobs.map((job) => job.tenantId ?? null),
    jobs.map((job) => job.kind),
    jobs.map((job) => job.priority ?? 0),
    jobs.map((job) => job.runAt ?? null),
    jobs.map((job) => job.maxAttempts ?? 10),
    jobs.map((job) => JSON.stringify(job.payload ?? null)),
  ]
}

const notify = prepared('lane-notify', "select pg_notify('palomar_lanes', $1)")

/**
 * Wakes the workers of all replicas. Not part of `enqueue`, because Postgres commits transactions that notify one
 * after the other: call it after the commit, and only where no worker of this process serves the queue.
 */
export async function notifyWorkers(queryable: Queryable, queue: string): Promise<void> {
  await notify(queryable, [queue])
}
