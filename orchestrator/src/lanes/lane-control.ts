import { prepared, type Queryable } from '../db/database.ts'

const cancelJob = prepared<{ ok: boolean }>('lane-cancel', 'select lane_cancel($1) as ok')
const redriveJob = prepared<{ ok: boolean }>('lane-redrive', 'select lane_redrive($1) as ok')
const pause = prepared('lane-pause', 'select lane_pause($1, $2, $3)')
const pace = prepared(
  'lane-pace',
  `insert into lane (key, pace_ms) values ($1, $2) on conflict (key) do update set pace_ms = $2`,
)
const purge = prepared(
  'lane-purge',
  `delete from lane_job where finished_at < $1 and state in ('done', 'cancelled')`,
)

/** Takes a waiting job out of its lane. False when it runs or has ended. */
export async function cancel(tx: Queryable, jobId: string): Promise<boolean> {
  return (await cancelJob(tx, [jobId]))[0]?.ok ?? false
}

/** Gives a dead job all its tries again, before what was enqueued after it. False when it is not dead. Then `wake`. */
export async function redrive(tx: Queryable, jobId: string): Promise<boolean> {
  return (await redriveJob(tx, [jobId]))[0]?.ok ?? false
}

/** Starts nothing in the lane before `until` ('infinity': before it is resumed). What runs now ends as it will. */
export async function pauseLane(
  tx: Queryable,
  key: string,
  until: Date | 'infinity',
  reason: string,
): Promise<void> {
  await pause(tx, [key, until, reason])
}

/** Lifts a pause. Then `wake`. */
export async function resumeLane(tx: Queryable, key: string): Promise<void> {
  await pause(tx, [key, null, null])
}

const readPaused = prepared<LanePause>(
  'lane-read-pause',
  'select paused_until as until, paused_reason as reason from lane where key = $1 and paused_until > now()',
)

export interface LanePause {
  until: Date
  reason: string
}

/** Why and until when nothing is started in the lane; undefined while it is not paused. */
export async function readLanePause(queryable: Queryable, key: string): Promise<LanePause | undefined> {
  return (await readPaused(queryable, [key]))[0]
}

/** The least time between a success in the lane and its next start. */
export async function setLanePace(tx: Queryable, key: string, paceMs: number): Promise<void> {
  await pace(tx, [key, paceMs])
}

/** Removes done and cancelled jobs that ended before `before`; the dead stay until they are redriven. */
export async function purgeLaneJobs(queryable: Queryable, before: Date): Promise<void> {
  await purge(queryable, [before])
}

const removeRow = prepared('lane-remove', 'delete from lane where key = $1')
const removeJobs = prepared('lane-remove-jobs', 'delete from lane_job where key = $1')

/** Removes a lane with all its jobs, for good: its key is no more. A try that runs now loses its lease. */
export async function removeLane(tx: Queryable, key: string): Promise<void> {
  // The lane's row is the lock: who is just enqueuing has ended when the second statement looks.
  await removeRow(tx, [key])
  await removeJobs(tx, [key])
}
