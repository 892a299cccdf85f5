import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/database.ts'
import { enqueue, notifyWorkers } from './enqueue.ts'
import { type LaneJob, LeaseLostError, type NewLaneJob } from './lane-job.ts'
import { LaneWorker, type LaneWorkerOptions } from './lane-worker.ts'

/** Only what a test brings about can wake a worker. */
const NEVER = 3_600_000

let database: TestDatabase
let queue: string
let queues = 0
let seen: string[]
let errors: unknown[]
const workers: LaneWorker[] = []

beforeAll(async () => {
  database = await createTestDatabase({ maxConnections: 40 })
  await database.pool.query('create table effect (job_id bigint, what text)')
})
beforeEach(() => {
  queue = `q${++queues}`
  seen = []
  errors = []
})
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop(0)))
})
afterAll(() => database.close())

/** A worker that notes each try and does what `handler` does. */
function startWorker(options: Partial<LaneWorkerOptions> = {}): LaneWorker {
  const worker = new LaneWorker({
    pool: database.pool,
    queue,
    pollMs: NEVER,
    onError: (error) => errors.push(error),
    ...options,
    handler: async (job, attempt) => {
      seen.push(`${job.kind}${job.attempt}`)
      return options.handler ? options.handler(job, attempt) : { result: 'done' }
    },
  })
  workers.push(worker)
  worker.start()
  return worker
}

function add(...kinds: (string | (Partial<NewLaneJob> & { kind: string }))[]): Promise<string[]> {
  const jobs = kinds.map((kind) => (typeof kind === 'string' ? { kind } : kind))
  return enqueue(
    database.pool,
    jobs.map((job) => ({ key: `${queue}:1`, payload: null, ...job })),
  )
}

async function statesOf(key = `${queue}:1`): Promise<string[]> {
  const { rows } = await database.pool.query('select state from lane_job where key = $1 order by id', [key])
  return rows.map((row) => row.state)
}

const allOver = async () => expect(await statesOf()).not.toContain('pending')

/** A door that opens when it is told to. */
function gate() {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

test('does what waits when it starts, in order', async () => {
  await add('a', 'b', 'c')
  startWorker()
  await vi.waitFor(allOver)
  expect(seen).toEqual(['a1', 'b1', 'c1'])
})

test('a wake-up after the commit is enough: none is lost among many', async () => {
  const worker = startWorker({ concurrency: 4 })
  const client = async (n: number) => {
    for (let i = 0; i < 25; i += 1) {
      await database.transaction((tx) =>
        enqueue(tx, [{ key: `${queue}:${(n + i) % 6}`, kind: 'x', payload: null }]),
      )
      worker.wake()
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, n) => client(n)))
  await vi.waitFor(() => expect(seen).toHaveLength(200), { timeout: 10_000 })
  expect(errors).toEqual([])
})

test('hears of work that another process tells of', async () => {
  await add('a')
  startWorker()
  await vi.waitFor(allOver)
  await add('b')
  // Told again until it is heard: the worker may not listen yet.
  await vi.waitFor(async () => {
    await notifyWorkers(database.pool, queue)
    await allOver()
  })
})

test('finds by itself what nobody told of, and is there when a job falls due', async () => {
  startWorker({ pollMs: 50 })
  await add('a', { kind: 'b', runAt: new Date(Date.now() + 300) })
  await vi.waitFor(() => expect(seen).toEqual(['a1']))
  await vi.waitFor(() => expect(seen).toEqual(['a1', 'b1']))
})

test('tries again what failed, holds the lane meanwhile, and gives up with the reason', async () => {
  await add({ kind: 'a', maxAttempts: 3 }, 'b')
  const dead: [string, string][] = []
  startWorker({
    backoffMs: () => 5,
    onDead: async (tx, job, error) => {
      dead.push([job.kind, error])
      await tx.query({ text: 'insert into effect values ($1, $2)', values: [job.id, 'dead'] })
    },
    handler: async (job) => {
      if (job.kind === 'b') return { result: 'done' }
      if (job.attempt === 1) throw new Error('broken\nin two lines')
      return { result: 'retry', error: `no ${job.attempt}`, afterMs: 1 }
    },
  })
  await vi.waitFor(allOver)
  expect(seen).toEqual(['a1', 'a2', 'a3', 'b1'])
  expect(await statesOf()).toEqual(['dead', 'done'])
  expect(dead).toEqual([['a', 'no 3']])
  expect(errors).toEqual([new Error('broken\nin two lines')])
})

test('a death whose bookkeeping fails has not happened', async () => {
  const [id] = await add({ kind: 'a', maxAttempts: 1 })
  let failures = 1
  startWorker({
    handler: async () => ({ result: 'dead', error: 'x' }),
    onDead: async (tx, job) => {
      await tx.query({ text: 'insert into effect values ($1, $2)', values: [job.id, 'dead'] })
      if (failures-- > 0) throw new Error('not now')
    },
  })
  await vi.waitFor(allOver)
  const { rows } = await database.pool.query('select what from effect where job_id = $1', [id])
  expect(rows).toEqual([{ what: 'dead' }])
})

test('what a handler writes where it finishes is written once, whatever fails around it', async () => {
  const ids = await add('a', 'b', 'c', 'd')
  startWorker({
    backoffMs: () => 1,
    handler: async (job, { finish }) => {
      const finished = await database.transaction(async (tx) => {
        await tx.query('insert into effect values ($1, $2)', [job.id, job.kind])
        const end = await finish(tx, { result: 'done' })
        if (job.kind === 'b' && job.attempt < 3) throw new Error('before the commit')
        return end
      })
      if (job.kind === 'c') throw new Error('after the commit')
      return finished
    },
  })
  await vi.waitFor(allOver)
  expect(seen).toEqual(['a1', 'b1', 'b2', 'b3', 'c1', 'd1'])
  const { rows } = await database.pool.query('select job_id::text from effect where job_id = any($1)', [ids])
  expect(rows.map((row) => row.job_id).sort()).toEqual([...ids].sort())
})

test('a job may take longer than its lease', async () => {
  const { opened, open } = gate()
  await add('a', 'b')
  const options: Partial<LaneWorkerOptions> = {
    leaseMs: 300,
    pollMs: 20,
    handler: async (job) => {
      if (job.kind === 'a') await opened
      return { result: 'done' }
    },
  }
  startWorker(options)
  startWorker(options)
  const leaseEnd = async () => {
    const { rows } = await database.pool.query('select next_at from lane where key = $1', [`${queue}:1`])
    return rows[0]?.next_at as Date
  }
  await vi.waitFor(() => expect(seen).toEqual(['a1']))
  const first = await leaseEnd()
  await vi.waitFor(async () => expect((await leaseEnd()).getTime()).toBeGreaterThan(first.getTime() + 600), {
    timeout: 5000,
  })
  open()
  await vi.waitFor(allOver)
  expect(seen).toEqual(['a1', 'b1'])
})

test('tells a handler that its lane is in other hands', async () => {
  await add('a')
  const aborted = gate()
  startWorker({
    leaseMs: 300,
    handler: async (_job, { signal }) => {
      signal.addEventListener('abort', aborted.open)
      await aborted.opened
      return { result: 'done' }
    },
  })
  await vi.waitFor(() => expect(seen).toEqual(['a1']))
  await database.pool.query('update lane set lease = gen_random_uuid() where key = $1', [`${queue}:1`])
  await aborted.opened
  await vi.waitFor(() => expect(errors).toEqual([expect.any(LeaseLostError)]))
  expect(await statesOf()).toEqual(['pending'])
})

test('the lane of a worker that was killed goes on elsewhere, with the job it had begun', async () => {
  await add('a', 'b')
  const script = path.join(import.meta.dirname, '../../test/hold-lane.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, database.url, queue, '1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [begun] = await once(createInterface(child.stdout), 'line')
  child.kill('SIGKILL')
  startWorker({ pollMs: 20 })
  await vi.waitFor(allOver, { timeout: 5000 })
  expect(begun).toBe('a')
  expect(seen).toEqual(['a2', 'b1'])
})

test('a job that loses its worker at each try is dead some day, without being tried again', async () => {
  await add({ kind: 'a', maxAttempts: 2 }, 'b')
  // As if two workers had been lost with it.
  await database.pool.query('update lane_job set attempts = 2 where key = $1 and kind = $2', [
    `${queue}:1`,
    'a',
  ])
  const dead: LaneJob[] = []
  startWorker({
    onDead: async (_tx, job) => {
      dead.push(job)
    },
  })
  await vi.waitFor(allOver)
  expect(seen).toEqual(['b1'])
  expect(dead).toMatchObject([{ kind: 'a' }])
})

test('stopping waits for what runs and begins nothing more', async () => {
  await add('a', 'b')
  const { opened, open } = gate()
  const worker = startWorker({
    handler: async () => {
      await opened
      return { result: 'done' }
    },
  })
  await vi.waitFor(() => expect(seen).toEqual(['a1']))
  const stopped = worker.stop(10_000)
  open()
  expect(await stopped).toBe(true)
  expect(await statesOf()).toEqual(['done', 'pending'])
  startWorker() // nothing has to run out first
  await vi.waitFor(allOver)
  expect(seen).toEqual(['a1', 'b1'])
})

test('stopping asks what takes too long to end, and does not wait for it', async () => {
  await add('a')
  const asked = gate()
  const worker = startWorker({
    handler: async (_job, { signal }) => {
      signal.addEventListener('abort', asked.open)
      return new Promise(() => undefined)
    },
  })
  await vi.waitFor(() => expect(seen).toEqual(['a1']))
  expect(await worker.stop(20)).toBe(false)
  await asked.opened
})

test('a lane with much to do lets others have their turn', async () => {
  const order: string[] = []
  await add(...Array.from({ length: 100 }, () => 'long'))
  await enqueue(database.pool, [{ key: `${queue}:2`, kind: 'short', payload: null }])
  startWorker({
    concurrency: 1,
    handler: async (job) => {
      order.push(job.kind)
      return { result: 'done' }
    },
  })
  await vi.waitFor(() => expect(order).toHaveLength(101), { timeout: 10_000 })
  expect(order.indexOf('short')).toBeLessThanOrEqual(32)
})
