import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/database.ts'
import { createClaims } from './claims.ts'
import { enqueue } from './enqueue.ts'
import type { LaneJob, NewLaneJob } from './lane-job.ts'
import type { LaneHandler } from './lane-try.ts'
import { LaneWorker } from './lane-worker.ts'

const { claim } = createClaims()

/** What a job's tries come to, one after the other; after the last, `done`. */
const outcomes = ['throw', 'retry', 'dead', 'done', 'done in a transaction', 'fail the commit'] as const
type Script = (typeof outcomes)[number][]

const LANES = 4
const MAX_ATTEMPTS = 4

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase({ maxConnections: 40 })
  await database.pool.query('create table ended (job_id bigint, result text)')
})
afterAll(() => database.close())

const plan = fc.record({
  jobs: fc.array(
    fc.record({
      lane: fc.nat({ max: LANES - 1 }),
      script: fc.array(fc.constantFrom(...outcomes), { maxLength: 5 }),
    }),
    { minLength: 1, maxLength: 40 },
  ),
  /** how many jobs are there before the workers are; the rest come while they work, in batches */
  early: fc.nat({ max: 40 }),
  batch: fc.integer({ min: 1, max: 5 }),
  /** claims that nobody ever ends, as if their worker had been killed: after how many tries each happens */
  kills: fc.array(fc.nat({ max: 30 }), { maxLength: 3 }),
  /** whether a job may be done while the end of the one before is being written */
  ahead: fc.boolean(),
})

let runs = 0

test('each job ends once, in the order of its lane, whatever fails and whoever is killed', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ jobs, early, batch, kills, ahead }) => {
      const queue = `p${++runs}`
      const scripts = new Map<number, Script>()
      const newJobs: NewLaneJob[] = jobs.map(({ lane, script }, n) => {
        scripts.set(n, script)
        return { key: `${queue}:${lane}`, kind: 'x', payload: { n }, maxAttempts: MAX_ATTEMPTS }
      })
      const tries: { n: number; key: string; attempt: number }[] = []
      /** of each lane: the job that is being done */
      const doing = new Map<string, string>()
      const toldWithTheEnd = new Set<string>()
      let lostClaims = 0

      const handler: LaneHandler = async (job, attempt) => {
        const { n } = job.payload as { n: number }
        await attempt.mayDo()
        expect(doing.get(job.key)).toBeUndefined()
        doing.set(job.key, job.id)
        const over = () => doing.get(job.key) === job.id && doing.delete(job.key)
        tries.push({ n, key: job.key, attempt: job.attempt })
        try {
          if (kills.includes(tries.length)) {
            const { length } = await claim(database.pool, queue, 1, 50)
            lostClaims += length
          }
          const outcome = scripts.get(n)?.shift() ?? 'done'
          if (ahead && endsWell.has(outcome)) {
            over()
            attempt.done()
          }
          await attempt.mayEnd()
          const ended = await act(job, attempt, outcome)
          if (outcome === 'done in a transaction') toldWithTheEnd.add(job.id)
          return ended
        } finally {
          over()
        }
      }
      const workers = [0, 1].map(
        () =>
          new LaneWorker({
            pool: database.pool,
            queue,
            handler,
            ahead,
            concurrency: 3,
            pollMs: 20,
            backoffMs: () => 3,
            // The failures are ours, but a broken rule must be heard.
            onError: (error) => {
              if (!(error instanceof Error && error.message.startsWith('planned'))) throw error
            },
            onDead: async (tx, job) => {
              await tx.query({ text: "insert into ended values ($1, 'dead')", values: [job.id] })
            },
          }),
      )

      const ids = await enqueue(database.pool, newJobs.slice(0, early))
      for (const worker of workers) worker.start()
      for (let at = early; at < newJobs.length; at += batch) {
        ids.push(...(await database.transaction((tx) => enqueue(tx, newJobs.slice(at, at + batch)))))
        workers[at % 2]?.wake()
      }
      await vi.waitFor(
        async () => {
          const { rows } = await database.pool.query(
            "select count(*)::int as left from lane_job where id = any($1) and state = 'pending'",
            [ids],
          )
          expect(rows[0].left).toBe(0)
        },
        { timeout: 15_000, interval: 10 },
      )
      for (const worker of workers) expect(await worker.stop(5000)).toBe(true)

      // Nobody overtook anybody: in each lane the tries are those of the first job, then those of the second… One that
      // was done ahead is done again when the one before could not be ended after all, but never before it.
      for (let lane = 0; lane < LANES; lane += 1) {
        const order = tries.filter((one) => one.key === `${queue}:${lane}`)
        const counts = ahead ? firstOfEach(order) : order
        expect(counts).toEqual(counts.toSorted((a, b) => a.n - b.n || a.attempt - b.attempt))
      }
      // Each ended once, and said so once: the end and its bookkeeping are one.
      const { rows } = await database.pool.query(
        `select j.id::text, j.state, j.attempts, count(e.job_id)::int as told from lane_job j
         left join ended e on e.job_id = j.id where j.id = any($1) group by j.id`,
        [ids],
      )
      expect(rows).toHaveLength(newJobs.length)
      for (const row of rows) {
        expect(row.told).toBe(row.state === 'dead' || toldWithTheEnd.has(row.id) ? 1 : 0)
        expect(row.attempts).toBeLessThanOrEqual(MAX_ATTEMPTS + 1)
      }
      // Each try was counted, those of lost workers too.
      const counted = rows.reduce((sum, row) => sum + row.attempts, 0)
      const exhaustedByLoss = rows.filter((row) => row.attempts > MAX_ATTEMPTS).length
      const made = tries.length + lostClaims + exhaustedByLoss
      if (ahead) expect(counted).toBeLessThanOrEqual(made)
      else expect(counted).toBe(made)
    }),
    { numRuns: 25, endOnFailure: true },
  )
}, 120_000)

/** tries that do the job, whatever becomes of its end */
const endsWell: ReadonlySet<string> = new Set(['done', 'done in a transaction', 'fail the commit'])

function firstOfEach<T extends { n: number }>(tries: readonly T[]): T[] {
  return tries.filter(({ n }, at) => tries.findIndex((one) => one.n === n) === at)
}

async function act(job: LaneJob, { finish }: Parameters<LaneHandler>[1], outcome: Script[number]) {
  switch (outcome) {
    case 'throw':
      throw new Error('planned')
    case 'retry':
      return { result: 'retry', error: 'planned', afterMs: 2 } as const
    case 'dead':
      return { result: 'dead', error: 'planned' } as const
    case 'done':
      return { result: 'done' } as const
    default:
      return database.transaction(async (tx) => {
        await tx.query("insert into ended values ($1, 'done')", [job.id])
        const finished = await finish(tx, { result: 'done' })
        if (outcome === 'fail the commit') throw new Error('planned')
        return finished
      })
  }
}
