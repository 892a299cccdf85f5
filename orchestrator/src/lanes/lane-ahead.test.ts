import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/database.ts'
import { createClaims } from './claims.ts'
import { enqueue } from './enqueue.ts'
import { cancel, pauseLane } from './lane-control.ts'
import type { LaneHandler } from './lane-try.ts'
import { LaneWorker } from './lane-worker.ts'

const { claim } = createClaims()

/** Only what a test brings about can wake a worker. */
const NEVER = 3_600_000

let database: TestDatabase
let queue: string
let queues = 0
let seen: string[]
let errors: unknown[]
const workers: LaneWorker[] = []

beforeAll(async () => {
  database = await createTestDatabase({ maxConnections: 20 })
})
beforeEach(() => {
  queue = `ahead${++queues}`
  seen = []
  errors = []
})
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop(0)))
})
afterAll(() => database.close())

/** What each job waits for, before it is done (`a`) and before it ends (`a end`); the test opens. */
function gates(...names: string[]) {
  const open = new Map<string, () => void>()
  const opened = new Map(names.map((name) => [name, new Promise<void>((go) => void open.set(name, go))]))
  return { open: (name: string) => open.get(name)?.(), opened: (name: string) => opened.get(name) }
}

/** @param early says that a job is done before its end is written */
function startWorker(
  opened: (name: string) => Promise<void> | undefined,
  failing?: string,
  early = true,
): LaneWorker {
  const handler: LaneHandler = async ({ kind, attempt: n }, attempt) => {
    seen.push(`${kind} in hand`)
    await attempt.mayDo()
    await opened(kind)
    if (kind === failing && n === 1) return { result: 'retry', error: 'planned', afterMs: 0 }
    seen.push(`${kind} done`)
    if (early) attempt.done()
    await attempt.mayEnd()
    await opened(`${kind} end`)
    if (`${kind} end` === failing && n === 1) return { result: 'retry', error: 'planned', afterMs: 0 }
    seen.push(`${kind} ends`)
    return { result: 'done' }
  }
  const onError = (error: unknown) => void errors.push(error)
  const worker = new LaneWorker({ pool: database.pool, queue, pollMs: NEVER, ahead: true, handler, onError })
  workers.push(worker)
  worker.start()
  return worker
}

const add = (...kinds: string[]) =>
  enqueue(
    database.pool,
    kinds.map((kind) => ({ key: `${queue}:1`, kind, payload: null })),
  )
const sawAll = (...what: string[]) => vi.waitFor(() => expect(seen).toEqual(expect.arrayContaining(what)))
const statesOf = async () =>
  (
    await database.pool.query<{ state: string }>('select state from lane_job where key = $1 order by id', [
      `${queue}:1`,
    ])
  ).rows.map(({ state }) => state)

test('the next job is done while the end of the one before is being written, and ends after it', async () => {
  const { open, opened } = gates('a', 'a end', 'c')
  await add('a', 'b', 'c')
  startWorker(opened)
  await sawAll('a in hand', 'b in hand')
  expect(seen).toEqual(['a in hand', 'b in hand'])
  open('a')
  await sawAll('b done')
  // Nobody but the two of them is in hand, and nothing has ended.
  expect(seen).toEqual(['a in hand', 'b in hand', 'a done', 'b done'])
  open('a end')
  await sawAll('b ends', 'c in hand')
  open('c')
  await vi.waitFor(async () => expect(await statesOf()).toEqual(['done', 'done', 'done']))
  expect(seen.filter((what) => what.endsWith('ends'))).toEqual(['a ends', 'b ends', 'c ends'])
  expect(errors).toEqual([])
})

test('when the head is tried again, the one in hand behind it is not done before it', async () => {
  const { open, opened } = gates('a')
  await add('a', 'b')
  startWorker(opened, 'a')
  await sawAll('a in hand', 'b in hand')
  open('a')
  await vi.waitFor(async () => expect(await statesOf()).toEqual(['done', 'done']))
  expect(seen.filter((what) => what.endsWith('done'))).toEqual(['a done', 'b done'])
  expect(errors).toEqual([])
})

test('a head that is tried again after all waits for what was begun behind it', async () => {
  const { open, opened } = gates('b', 'a end')
  const begun: string[] = []
  await add('a', 'b')
  startWorker((name) => {
    begun.push(name)
    return opened(name)
  }, 'a end')
  await vi.waitFor(() => expect(begun).toEqual(expect.arrayContaining(['a end', 'b'])))
  open('a end')
  // Time enough for the head's end to be written, if nothing kept it back.
  for (let n = 0; n < 50; n++) expect(await claim(database.pool, queue, 1, 60_000)).toEqual([])
  open('b')
  await vi.waitFor(async () => expect(await statesOf()).toEqual(['done', 'done']))
  expect(seen.filter((what) => what.endsWith('done'))).toEqual(['a done', 'b done', 'a done', 'b done'])
  expect(errors).toEqual([])
})

test('what is in hand is not cancelled; what comes after it is', async () => {
  const { open, opened } = gates('a')
  const [a, b, c] = await add('a', 'b', 'c')
  startWorker(opened)
  await sawAll('b in hand')
  expect(await cancel(database.pool, String(a))).toBe(false)
  expect(await cancel(database.pool, String(b))).toBe(false)
  expect(await cancel(database.pool, String(c))).toBe(true)
  open('a')
  await vi.waitFor(async () => expect(await statesOf()).toEqual(['done', 'done', 'cancelled']))
})

test('a lane that is paused stops after what was begun', async () => {
  const { open, opened } = gates('a', 'a end')
  await add('a', 'b', 'c')
  startWorker(opened)
  await sawAll('b in hand')
  open('a')
  await sawAll('b done')
  await pauseLane(database.pool, `${queue}:1`, 'infinity', 'a test')
  open('a end')
  await vi.waitFor(async () => expect(await statesOf()).toEqual(['done', 'done', 'pending']))
  expect(seen).not.toContain('c in hand')
})

test('what is in hand and not begun is left when the lane is paused first, and gives way to what is more urgent', async () => {
  const { open, opened } = gates('a', 'urgent')
  await add('a', 'b')
  startWorker(opened, undefined, false)
  await sawAll('b in hand')
  await enqueue(database.pool, [{ key: `${queue}:1`, kind: 'urgent', payload: null, priority: 9 }])
  open('a')
  await sawAll('urgent in hand')
  await pauseLane(database.pool, `${queue}:1`, 'infinity', 'a test')
  open('urgent')
  await vi.waitFor(async () => expect(await statesOf()).toEqual(['done', 'pending', 'done']))
  expect(seen).not.toContain('b done')
  expect(errors).toEqual([])
})

test('a worker that stops gives back what it had in hand but not begun, and nobody waits for the lease', async () => {
  const { open, opened } = gates('a')
  await add('a', 'b')
  const worker = startWorker(opened)
  await sawAll('b in hand')
  const stopped = worker.stop(5_000)
  open('a')
  expect(await stopped).toBe(true)
  expect(seen).not.toContain('b done')
  expect(await statesOf()).toEqual(['done', 'pending'])
  const [claimed] = await claim(database.pool, queue, 1, 60_000)
  expect(claimed?.job).toMatchObject({ kind: 'b', attempt: 1 })
  expect(errors).toEqual([])
})

test('a worker that was lost: what it had in hand keeps its order, also before what is more urgent', async () => {
  await add('a', 'b')
  const [lost] = await claim(database.pool, queue, 1, 1, 2)
  expect(lost).toMatchObject({ job: { kind: 'a' }, ahead: { kind: 'b' } })
  await enqueue(database.pool, [{ key: `${queue}:1`, kind: 'urgent', payload: null, priority: 9 }])
  await vi.waitFor(async () => {
    const [again] = await claim(database.pool, queue, 1, 60_000, 2)
    expect(again).toMatchObject({ job: { kind: 'a', attempt: 2 }, ahead: { kind: 'b' } })
  })
})

test('a paced lane has one job in hand', async () => {
  await add('a', 'b')
  await database.pool.query('update lane set pace_ms = 1000 where key = $1', [`${queue}:1`])
  const [claimed] = await claim(database.pool, queue, 1, 60_000, 2)
  expect(claimed).toMatchObject({ job: { kind: 'a' } })
  expect(claimed?.ahead).toBeUndefined()
})
