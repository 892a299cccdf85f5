import { prepared, type Queryable } from '../db/database.ts'
import { type LaneJob, type LaneOutcome, LeaseLostError } from './lane-job.ts'

/** A lane in hand: its head, the job after it where the worker wanted both, and the token that proves it. */
export interface Claim {
  lease: string
  job: LaneJob
  ahead?: LaneJob
}

/** How many of a lane's jobs a worker holds: none, its head, or also the job after it. */
export type Want = 0 | 1 | 2

/** What became of a lane after a try: its next head under the same lease, or it was freed. */
export interface Advance {
  next: Claim | null
  /** how long until a freed lane is due again; null: not before somebody enqueues */
  dueInMs: number | null
}

/** What is found out about each job in the statement that hands it out, so that its handler need not ask for it. */
export interface LookUp {
  /** unique in the process */
  name: string
  /** SQL, to which a `limit` is added, of what is found for `l.asked`, the job's payload; null: nothing needs to be */
  query: string
}

interface ClaimedRow {
  key: string
  lease: string
  job_id: string | null
  kind: string
  priority: number
  payload: unknown
  attempts: number
  max_attempts: number
  created_at: Date
  due_in_ms: number | null
  found: true | null
}

const columns =
  'l.key, l.lease, l.id as job_id, l.kind, l.priority, l.payload, l.attempts, l.max_attempts, l.created_at, l.due_in_ms'

/**
 * `limit` makes it a plan of its own: as a join of all claimed jobs it would be planned for a thousand of them.
 * @param asked for which jobs, as SQL; default: all
 */
function statement(name: string, call: string, lookUp: LookUp | undefined, asked = 'true') {
  if (!lookUp) return prepared<ClaimedRow>(name, `select ${columns}, null as found from ${call} l`)
  return prepared<ClaimedRow>(
    `${name}-${lookUp.name}`,
    `select ${columns}, found.*
     from (select l.*, case when ${asked} then l.payload end as asked from ${call} l) l
       left join lateral (select looked.*, true as found from (${lookUp.query} limit 1) looked) found on true`,
  )
}

const releaseLane = prepared('lane-release', 'select lane_release($1, $2, $3)')
const nextDue = prepared<{ ms: number | null }>(
  'lane-next-due',
  `select (extract(epoch from min(next_at) - clock_timestamp()) * 1000)::float8 as ms
   from lane where split_part(key, ':', 1) = $1 and next_at is not null`,
)

export interface FinishOptions {
  /** counts only for a retry */
  retryMs: number
  /** what to hold on to; none frees the lane, unless something has begun */
  want: Want
  /** the job ahead, when it is at work already */
  begun?: LaneJob | undefined
  leaseMs: number
  /** outside any transaction of the caller's: then nothing waits for the disk, and a crash of Postgres may forget it */
  alone?: boolean
}

export type Claims = ReturnType<typeof createClaims>

/** The statements that hand out jobs. */
export function createClaims(lookUp?: LookUp) {
  const claimLanes = statement('lane-claim', 'lane_claim($1, $2, $3, $4)', lookUp)
  // What has begun knows already.
  const unbegun = 'l.id is distinct from $8'
  const values = '($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)'
  const finishJob = statement('lane-finish', `lane_finish${values}`, lookUp, unbegun)
  const finishAlone = statement('lane-finish-alone', `lane_finish_alone${values}`, lookUp, unbegun)

  return {
    /** Takes up to `max` lanes that are due. */
    async claim(
      queryable: Queryable,
      queue: string,
      max: number,
      leaseMs: number,
      want: Want = 1,
    ): Promise<Claim[]> {
      return toClaims(await claimLanes(queryable, [queue, max, leaseMs, want]))
    },

    /** Ends a try of the head. Throws `LeaseLostError` when the lane is in other hands. */
    async finish(
      tx: Queryable,
      { lease, job }: Claim,
      outcome: LaneOutcome,
      { retryMs, want, begun, leaseMs, alone = false }: FinishOptions,
    ): Promise<Advance> {
      // Postgres takes no NUL in a text, and nobody reads more than that of an error.
      const error = outcome.result === 'done' ? null : outcome.error.replaceAll('\0', '').slice(0, 2000)
      const pace = outcome.result === 'done' ? (outcome.paceMs ?? null) : null
      const begunId = begun?.id ?? null
      const values = [job.key, lease, job.id, outcome.result, error, retryMs, pace, begunId, want, leaseMs]
      const rows = await fenced((alone ? finishAlone : finishJob)(tx, values))
      if (!rows[0]) throw new Error('lane_finish gave no row')
      return { next: toClaims(rows)[0] ?? null, dueInMs: rows[0].due_in_ms }
    },
  }
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

/** A lane's rows follow each other, its head first. */
function toClaims(rows: readonly ClaimedRow[]): Claim[] {
  const claims = new Map<string, Claim>()
  for (const row of rows) {
    if (row.job_id === null) continue
    const first = claims.get(row.lease)
    if (first) first.ahead = toJob(row, row.job_id)
    else claims.set(row.lease, { lease: row.lease, job: toJob(row, row.job_id) })
  }
  return [...claims.values()]
}

function toJob(row: ClaimedRow, id: string): LaneJob {
  const { key, kind, priority, payload, attempts, max_attempts: maxAttempts, created_at: createdAt } = row
  const found = row.found ? row : undefined
  return { id, key, kind, priority, payload, attempt: attempts + 1, maxAttempts, createdAt, found }
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
