import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/database.ts'
import { type Claim, createClaims, type FinishOptions, release } from './claims.ts'
import { enqueue } from './enqueue.ts'
import { cancel, pauseLane, purgeLaneJobs, redrive, resumeLane, setLanePace } from './lane-control.ts'
import { type LaneOutcome, LeaseLostError, type NewLaneJob } from './lane-job.ts'

const { claim, finish } = createClaims()

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.close())

let queues = 0
/** A lane in a queue of its own: what the tests take does not get in each other's way. */
function newLane() {
  const queue = `q${++queues}`
  const key = `${queue}:1`
  return {
    key,
    add: (...jobs: (Partial<NewLaneJob> & { kind: string })[]) =>
      enqueue(
        database.pool,
        jobs.map((job) => ({ key, payload: null, ...job })),
      ),
    async take(leaseMs = 60_000): Promise<Claim | undefined> {
      return (await claim(database.pool, queue, 5, leaseMs))[0]
    },
  }
}

const end = (claimed: Claim | undefined, outcome: LaneOutcome, options: Partial<FinishOptions> = {}) => {
  if (!claimed) throw new Error('nothing was claimed')
  return finish(database.pool, claimed, outcome, { retryMs: 0, want: 0, leaseMs: 60_000, ...options })
}
const done: LaneOutcome = { result: 'done' }
const retry: LaneOutcome = { result: 'retry', error: 'again' }

test('gives ids in the order of the jobs, and what it was given', async () => {
  const lane = newLane()
  const payload = { text: 'é"\\{},\n', list: [1, null] }
  const ids = await lane.add({ kind: 'a', payload, maxAttempts: 3 }, { kind: 'b' }, { kind: 'c' })
  expect(ids.map(Number)).toEqual([...ids].map(Number).sort((a, b) => a - b))
  const claimed = await lane.take()
  expect(claimed?.job).toMatchObject({
    id: ids[0],
    key: lane.key,
    kind: 'a',
    payload,
    attempt: 1,
    maxAttempts: 3,
  })
})

test('what a transaction enqueues and rolls back never was', async () => {
  const lane = newLane()
  const failure = database.transaction(async (tx) => {
    await enqueue(tx, [{ key: lane.key, kind: 'a', payload: 1 }])
    throw new Error('no')
  })
  await expect(failure).rejects.toThrow('no')
  expect(await lane.take()).toBeUndefined()
})

test('one job at a time, in order, and the next comes with the end of the last', async () => {
  const lane = newLane()
  await lane.add({ kind: 'a' }, { kind: 'b' })
  const first = await lane.take()
  expect(first?.job.kind).toBe('a')
  await lane.add({ kind: 'c' })
  expect(await lane.take()).toBeUndefined()
  const { next } = await end(first, done, { want: 1 })
  expect(next).toMatchObject({ lease: first?.lease, job: { kind: 'b' } })
  expect(await lane.take()).toBeUndefined()
  const last = await end(next ?? undefined, done, { want: 1 })
  expect(last.next?.job.kind).toBe('c')
  expect(await end(last.next ?? undefined, done)).toEqual({ next: null, dueInMs: null })
  expect(await lane.take()).toBeUndefined()
})

test('the greater priority goes first, then the one enqueued first', async () => {
  const lane = newLane()
  await lane.add({ kind: 'c' }, { kind: 'a', priority: 2 }, { kind: 'd' }, { kind: 'b', priority: 2 })
  const order: (string | undefined)[] = []
  for (let n = 0; n < 4; n += 1) {
    const claimed = await lane.take()
    order.push(claimed?.job.kind)
    await end(claimed, done)
  }
  expect(order).toEqual(['a', 'b', 'c', 'd'])
})

test('a job whose time has not come holds nobody up; then it has the place of its enqueuing', async () => {
  const lane = newLane()
  const soon = new Date(Date.now() + 150)
  await lane.add({ kind: 'later', runAt: soon }, { kind: 'now' }, { kind: 'next' })
  const first = await lane.take()
  expect(first?.job.kind).toBe('now')
  await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(soon.getTime() + 5))
  const { next } = await end(first, done, { want: 1 })
  expect(next?.job.kind).toBe('later')
})

test('a lane in which all is scheduled is due with the first of them', async () => {
  const lane = newLane()
  await lane.add({ kind: 'b', runAt: new Date(Date.now() + 3_600_000) })
  await lane.add({ kind: 'a', runAt: new Date(Date.now() + 100) })
  expect(await lane.take()).toBeUndefined()
  const claimed = await vi.waitUntil(() => lane.take())
  expect(claimed.job.kind).toBe('a')
  const { dueInMs } = await end(claimed, done)
  expect(dueInMs).toBeGreaterThan(3_500_000)
})

test('nobody overtakes a head that waits for its next try, whatever comes', async () => {
  const lane = newLane()
  await lane.add({ kind: 'a' }, { kind: 'b' })
  const first = await lane.take()
  const { next, dueInMs } = await end(first, retry, { retryMs: 200, want: 1 })
  expect(next).toBeNull()
  expect(dueInMs).toBeGreaterThan(100)
  await lane.add({ kind: 'urgent', priority: 9 })
  expect(await lane.take()).toBeUndefined()
  const again = await vi.waitUntil(() => lane.take())
  expect(again.job).toMatchObject({ kind: 'a', attempt: 2 })
  expect((await end(again, done, { want: 1 })).next?.job.kind).toBe('urgent')
})

test('a dead job lets the lane go on, and comes back first when it is redriven', async () => {
  const lane = newLane()
  const [id = ''] = await lane.add({ kind: 'a', maxAttempts: 1 }, { kind: 'b' })
  expect(await redrive(database.pool, id)).toBe(false)
  const { next } = await end(await lane.take(), { result: 'dead', error: 'broken\0' }, { want: 1 })
  expect(next?.job.kind).toBe('b')
  const { rows } = await database.pool.query('select state, last_error from lane_job where id = $1', [id])
  expect(rows).toEqual([{ state: 'dead', last_error: 'broken' }])
  await lane.add({ kind: 'c' })
  expect(await redrive(database.pool, id)).toBe(true)
  const after = await end(next ?? undefined, done, { want: 1 })
  expect(after.next?.job).toMatchObject({ kind: 'a', attempt: 1 })
})

test('redriving in an idle lane makes it due', async () => {
  const lane = newLane()
  const [id = ''] = await lane.add({ kind: 'a' })
  await end(await lane.take(), { result: 'dead', error: 'x' })
  expect(await lane.take()).toBeUndefined()
  await redrive(database.pool, id)
  expect((await lane.take())?.job.id).toBe(id)
})

test('cancels what waits, not what runs or has ended', async () => {
  const lane = newLane()
  const [a = '', b = '', c = ''] = await lane.add({ kind: 'a' }, { kind: 'b' }, { kind: 'c' })
  const running = await lane.take()
  expect(await cancel(database.pool, a)).toBe(false)
  expect(await cancel(database.pool, b)).toBe(true)
  expect(await cancel(database.pool, b)).toBe(false)
  expect(await cancel(database.pool, '999999999')).toBe(false)
  const { next } = await end(running, done, { want: 1 })
  expect(next?.job.id).toBe(c)
  await end(next ?? undefined, done)
  expect(await cancel(database.pool, c)).toBe(false)
})

test('a head that is cancelled while it waits for its next try lets the lane go on at once', async () => {
  const lane = newLane()
  const [a = ''] = await lane.add({ kind: 'a' }, { kind: 'b' })
  await end(await lane.take(), retry, { retryMs: 3_600_000 })
  expect(await cancel(database.pool, a)).toBe(true)
  expect((await lane.take())?.job.kind).toBe('b')
})

test('a paused lane starts nothing, whatever is enqueued, until it is resumed or the time is over', async () => {
  const lane = newLane()
  await lane.add({ kind: 'a' })
  const running = await lane.take()
  await pauseLane(database.pool, lane.key, 'infinity', 'the phone is offline')
  expect((await end(running, done, { want: 1 })).next).toBeNull()
  await lane.add({ kind: 'b' })
  expect(await lane.take()).toBeUndefined()
  await resumeLane(database.pool, lane.key)
  expect((await lane.take())?.job.kind).toBe('b')
  const other = newLane()
  await pauseLane(database.pool, other.key, new Date(Date.now() + 100), 'a moment')
  await other.add({ kind: 'c' })
  expect(await other.take()).toBeUndefined()
  expect((await vi.waitUntil(() => other.take())).job.kind).toBe('c')
})

test.each(['the lane has a pace', 'the outcome says one'])(
  'paces the next start after a success: %s',
  async (who) => {
    const lane = newLane()
    if (who === 'the lane has a pace') await setLanePace(database.pool, lane.key, 200)
    const outcome: LaneOutcome = who === 'the lane has a pace' ? done : { result: 'done', paceMs: 200 }
    await lane.add({ kind: 'a' })
    await end(await lane.take(), outcome)
    const finishedAt = Date.now()
    await lane.add({ kind: 'b' }) // into an empty lane: the pace holds for it too
    expect(await lane.take()).toBeUndefined()
    const next = await vi.waitUntil(() => lane.take(), { interval: 5 })
    expect(Date.now() - finishedAt).toBeGreaterThanOrEqual(190)
    expect(next.job.kind).toBe('b')
  },
)

test('a lane whose lease ran out is taken over: its head counts a try, and the old holder is fenced', async () => {
  const lane = newLane()
  await lane.add({ kind: 'a' }, { kind: 'b' })
  const lost = await lane.take(1)
  const taken = await vi.waitUntil(() => lane.take())
  expect(taken.job).toMatchObject({ id: lost?.job.id, attempt: 2 })
  await expect(end(lost, done)).rejects.toThrow(LeaseLostError)
  await expect(release(database.pool, lost as Claim)).rejects.toThrow(LeaseLostError)
  expect((await end(taken, done, { want: 1 })).next?.job.kind).toBe('b')
  await expect(end(taken, done)).rejects.toThrow(LeaseLostError) // the token is right, but that job has ended
})

test('an end in a transaction that is rolled back is none', async () => {
  const lane = newLane()
  await lane.add({ kind: 'a' })
  const claimed = (await lane.take()) as Claim
  const failure = database.transaction(async (tx) => {
    await finish(tx, claimed, done, { retryMs: 0, want: 1, leaseMs: 60_000 })
    throw new Error('no')
  })
  await expect(failure).rejects.toThrow('no')
  expect(await end(claimed, done)).toEqual({ next: null, dueInMs: null })
})

test('a lane that is given back is as it was', async () => {
  const lane = newLane()
  await lane.add({ kind: 'a' })
  await release(database.pool, (await lane.take()) as Claim)
  await lane.add({ kind: 'urgent', priority: 1 })
  expect((await lane.take())?.job).toMatchObject({ kind: 'urgent', attempt: 1 })
})

test('purging removes what has ended well, and only that', async () => {
  const lane = newLane()
  await lane.add({ kind: 'done' }, { kind: 'dead' }, { kind: 'cancelled' }, { kind: 'pending' })
  const first = await end(await lane.take(), done, { want: 1 })
  const second = await end(first.next ?? undefined, { result: 'dead', error: 'x' })
  expect(second.next).toBeNull()
  const { rows: waiting } = await database.pool.query(
    'select id from lane_job where key = $1 and kind = $2',
    [lane.key, 'cancelled'],
  )
  await cancel(database.pool, waiting[0].id)
  await purgeLaneJobs(database.pool, new Date(Date.now() + 1000))
  const { rows } = await database.pool.query('select kind from lane_job where key = $1 order by id', [
    lane.key,
  ])
  expect(rows).toEqual([{ kind: 'dead' }, { kind: 'pending' }])
})
