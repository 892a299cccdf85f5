import { prepared, type Queryable } from '../db/database.ts'
import { type LaneJob, type LaneOutcome, LeaseLostError } from './lane-job.ts'

/** A lane in hand: its head, and the token that proves it. */
export interface Claim {
  lease: string
  job: LaneJob
}

/** What became of a lane after a try: its next head under the same lease, or it was freed. */
export interface Advance {
  next: Claim | null
  /** how long until a freed lane is due again; null: not before somebody enqueues */
  dueInMs: number | null
}

interface ClaimedRow {
  key: string
  lease: string
  id: string | null
  kind: string
  priority: number
  payload: unknown
  attempts: number
  max_attempts: number
  created_at: Date
  due_in_ms: number | null
}

const claimLanes = prepared<ClaimedRow>('lane-claim', 'select * from lane_claim($1, $2, $3)')
const finishJob = prepared<ClaimedRow>(
  'lane-finish',
  'select * from lane_finish($1, $2, $3, $4, $5, $6, $7, $8, $9)',
)
const releaseLane = prepared('lane-release', 'select lane_release($1, $2, $3)')
const nextDue = prepared<{ ms: number | null }>(
  'lane-next-due',
  `select (extract(epoch from min(next_at) - clock_timestamp()) * 1000)::float8 as ms
   from lane where split_part(key, ':', 1) = $1 and next_at is not null`,
)

/** Takes up to `max` lanes that are due. */
export async function claim(
  queryable: Queryable,
  queue: string,
  max: number,
  leaseMs: number,
): Promise<Claim[]> {
  const rows = await claimLanes(queryable, [queue, max, leaseMs])
  return rows.flatMap((row) => toClaim(row) ?? [])
}

/** Ends a try. `retryMs` counts only for a retry. Throws `LeaseLostError` when the lane is in other hands. */
export async function finish(
  tx: Queryable,
  { lease, job }: Claim,
  outcome: LaneOutcome,
  { retryMs, takeNext, leaseMs }: { retryMs: number; takeNext: boolean; leaseMs: number },
): Promise<Advance> {
  // Postgres takes no NUL in a text, and nobody reads more than that of an error.
  const error = outcome.result === 'done' ? null : outcome.error.replaceAll('\0', '').slice(0, 2000)
  const pace = outcome.result === 'done' ? (outcome.paceMs ?? null) : null
  const values = [job.key, lease, job.id, outcome.result, error, retryMs, pace, takeNext, leaseMs]
  const [row] = await fenced(finishJob(tx, values))
  if (!row) throw new Error('lane_finish gave no row')
  return { next: toClaim(row), dueInMs: row.due_in_ms }
}

/** Gives a lane back whose head was not begun. Throws `LeaseLostError`. */
export async function release(queryable: Queryable, { lease, job }: Claim): Promise<void> {
  await fenced(releaseLane(queryable, [job.key, lease, job.id]))
}

/** How long until some lane of the queue is due, in milliseconds; null: none. */
export async function dueInMs(queryable: Queryable, queue: string): Promise<number | null> {
  const [row] = await nextDue(queryable, [queue])
  return row?.ms ?? null
}

function toClaim(row: ClaimedRow): Claim | null {
  if (row.id === null) return null
  const { key, lease, id, kind, priority, payload } = row
  const attempt = row.attempts + 1
  return {
    lease,
    job: {
      id,
      key,
      kind,
      priority,
      payload,
      attempt,
      maxAttempts: row.max_attempts,
      createdAt: row.created_at,
    },
  }
}

async function fenced<T>(query: Promise<T>): Promise<T> {
  try {
    return await query
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'PL001') {
      throw new LeaseLostError(error.message, { cause: error })
    }
    throw error
  }
}
