/** How jobs come into hand sooner than by a look of their own: behind the commit, by a run that goes on, with a look-up. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/database.ts'
import type { Queryable } from '../db/database.ts'
import { enqueue } from './enqueue.ts'
import type { LaneJob } from './lane-job.ts'
import { LaneWorker, type LaneWorkerOptions } from './lane-worker.ts'

/** Only what a test brings about can wake a worker. */
const NEVER = 3_600_000
const DONE = { result: 'done' } as const

let database: TestDatabase
let queue: string
let queues = 0
let done: LaneJob[]
let errors: unknown[]
const workers: LaneWorker[] = []

beforeAll(async () => {
  database = await createTestDatabase({ maxConnections: 20 })
})
beforeEach(() => {
  queue = `hand${++queues}`
  done = []
  errors = []
})
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop(0)))
  expect(errors).toEqual([])
})
afterAll(() => database.close())

function startWorker(options: Partial<LaneWorkerOptions> = {}): LaneWorker {
  const worker = new LaneWorker({
    ...{ pool: database.pool, queue, pollMs: NEVER, onError: (error) => errors.push(error), ...options },
    handler: async (job, attempt) => {
      await options.handler?.(job, attempt)
      done.push(job)
      return { result: 'done' }
    },
  })
  workers.push(worker)
  worker.start()
  return worker
}

const key = (lane = 1) => `${queue}:${lane}`
const add = (kind: string, lane = 1, tx: Queryable = database.pool) =>
  enqueue(tx, [{ key: key(lane), kind, payload: { of: kind } }])
const ended = (count: number) => vi.waitFor(() => expect(done).toHaveLength(count), { timeout: 10_000 })

/** As whoever accepts work does: claims behind the commit, or wakes after it. True when it was the former. */
async function addAndTell(worker: LaneWorker, kind: string, lane = 1): Promise<boolean> {
  let claiming: Promise<unknown> | undefined
  const behind = (connection: Queryable) => {
    claiming = worker.claimBehind(connection, [key(lane)])
    return claiming
  }
  await database.transaction((tx) => add(kind, lane, tx), { behind })
  if (!claiming) worker.wake([key(lane)])
  return claiming !== undefined
}

test('a claim behind the commit finds what was committed', async () => {
  const worker = startWorker()
  let behind = 0
  for (let n = 1; n <= 20; n++) {
    if (await addAndTell(worker, 'x')) behind++
    await ended(n)
  }
  expect(behind).toBeGreaterThan(0)
})

test('a lane that is at work comes to what was added by itself', async () => {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const worker = startWorker({ handler: () => opened.then(() => DONE) })
  await add('a')
  worker.wake()
  await vi.waitFor(async () => {
    const { rows } = await database.pool.query('select lease from lane where key = $1', [key()])
    expect(rows[0].lease).not.toBeNull()
  })
  // The claim that gave it the lane may still be on its way back.
  await vi.waitFor(() => expect(worker.claimBehind(database.pool, [key()])).toBeUndefined())
  expect(await addAndTell(worker, 'b')).toBe(false)
  open()
  await ended(2)
})

test('nothing is lost, however adding meets the end of a lane’s run', async () => {
  const worker = startWorker({ concurrency: 4 })
  const client = async (n: number) => {
    for (let i = 0; i < 40; i++) await addAndTell(worker, 'x', (n + i) % 6)
  }
  await Promise.all(Array.from({ length: 8 }, (_, n) => client(n)))
  await ended(320)
  expect(new Set(done.map(({ id }) => id)).size).toBe(320)
})

test.each([false, true])('a job brings what its queue looks up (ahead: %s)', async (ahead) => {
  const lookUp = {
    name: `test-${ahead}`,
    query: "select p.name from (values ('a', 'Ana'), ('b', 'Bo')) p(id, name) where p.id = l.asked->>'of'",
  }
  for (const kind of ['a', 'unknown', 'b', 'a']) await add(kind)
  startWorker({
    lookUp,
    ahead,
    handler: (_job, attempt) => attempt.mayDo().then(() => DONE),
  })
  await ended(4)
  const names = done.map(({ found }) => (found as { name: string } | undefined)?.name)
  expect(names).toEqual(['Ana', undefined, 'Bo', 'Ana'])
})
