/**
 * How fast lanes are: `node --import tsx orchestrator/test/lane-bench.ts`. One line of JSON at the end.
 * A durable Postgres (fsync on), one worker, a handler that does nothing.
 */
import { rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { type Database, openDatabase } from '../src/db/database.ts'
import { startEmbeddedPostgres } from '../src/db/embedded-postgres.ts'
import { migrate } from '../src/db/migrate.ts'
import { enqueue } from '../src/lanes/enqueue.ts'
import { LaneWorker } from '../src/lanes/lane-worker.ts'

const dataDir = path.join(tmpdir(), `palomar-lane-bench-${process.pid}`)
const postgres = await startEmbeddedPostgres({ dataDir, stopOnExit: true })
const url = await postgres.createDatabase('bench')
await migrate(url, path.join(import.meta.dirname, '../../prisma/migrations'))
const database = await openDatabase(url)

function worker(queue: string, concurrency: number, onJob: (payload: unknown) => void): LaneWorker {
  const started = new LaneWorker({
    pool: database.pool,
    queue,
    concurrency,
    onError: (error) => {
      throw error
    },
    handler: async (job) => {
      onJob(job.payload)
      return { result: 'done' }
    },
  })
  started.start()
  return started
}

/** Jobs a second that leave `lanes` lanes in which `total` jobs wait. */
async function drain(db: Database, lanes: number, total: number): Promise<number> {
  const queue = `drain${lanes}`
  await enqueue(
    db.pool,
    Array.from({ length: total }, (_, n) => ({ key: `${queue}:${n % lanes}`, kind: 'x', payload: { n } })),
  )
  const start = performance.now()
  let count = 0
  await new Promise<void>((resolve, reject) => {
    const running = worker(queue, 16, () => {
      count += 1
      if (count === total) running.stop(5000).then(() => resolve(), reject)
    })
  })
  return Math.round((total / (performance.now() - start)) * 1000)
}

/** Milliseconds from before the enqueuing transaction to the handler, one job at a time. */
async function latency(db: Database, count: number): Promise<{ p50: number; p99: number }> {
  let arrived: () => void = () => undefined
  const running = worker('idle', 16, () => arrived())
  const times: number[] = []
  for (let n = 0; n < count; n += 1) {
    const start = performance.now()
    const done = new Promise<void>((resolve) => {
      arrived = resolve
    })
    await db.transaction((tx) => enqueue(tx, [{ key: `idle:${n % 10}`, kind: 'x', payload: {} }]))
    running.wake()
    await done
    times.push(performance.now() - start)
  }
  await running.stop(5000)
  times.sort((a, b) => a - b)
  const at = (q: number) => Number((times[Math.floor(q * (count - 1))] ?? 0).toFixed(2))
  return { p50: at(0.5), p99: at(0.99) }
}

/** Jobs a second from enqueuing one by one, at `clients` at a time, to done. */
async function endToEnd(db: Database, clients: number, total: number): Promise<number> {
  let count = 0
  const start = performance.now()
  await new Promise<void>((resolve, reject) => {
    const running = worker('live', 16, () => {
      count += 1
      if (count === total) running.stop(5000).then(() => resolve(), reject)
    })
    let left = total
    const client = async (n: number) => {
      while (left-- > 0) {
        await db.transaction((tx) => enqueue(tx, [{ key: `live:${n}`, kind: 'x', payload: {} }]))
        running.wake()
      }
    }
    for (let n = 0; n < clients; n += 1) client(n).catch(reject)
  })
  return Math.round((total / (performance.now() - start)) * 1000)
}

const result = {
  bench: 'lanes',
  cores: availableParallelism(),
  bulk_one_lane_jobs_s: await drain(database, 1, 3000),
  bulk_100_lanes_jobs_s: await drain(database, 100, 10_000),
  bulk_5000_lanes_jobs_s: await drain(database, 5000, 10_000),
  live_10_lanes_jobs_s: await endToEnd(database, 10, 5000),
  idle_ms: await latency(database, 500),
}
await database.close()
await postgres.stop()
await rm(dataDir, { recursive: true })
console.log(JSON.stringify(result))
