/** The reconciler in trouble: engines that do not answer, starts that hang or fail, nodes that are deaf or gone. */
import { expect, test } from 'vitest'
import {
  connect,
  database,
  deaf,
  engine,
  eventually,
  nodeOf,
  nodesOf,
  reconcile,
  rowsOf,
  runtime,
  sessionOf,
} from '../../test/reconciler-fixture.ts'
import { createSession } from '../../test/session-fixture.ts'
import { RuntimeError } from '../nodes/runtime/runtime.ts'

test('an engine that does not answer: nothing is started, stopped or counted, and all goes on afterwards', async () => {
  const fixture = await createSession(database)
  const waiting = await createSession(database, { desired: 'stopped' })
  const reconciler = reconcile()
  const node = await nodeOf(fixture)
  await connect(fixture, node)

  runtime.engineState = 'refuses'
  await database.prisma.session.update({ where: { id: waiting.sessionId }, data: { desired: 'running' } })
  reconciler.wake(fixture.sessionId)
  reconciler.wake(waiting.sessionId)
  await eventually(async () =>
    expect(await sessionOf(waiting)).toMatchObject({
      state: 'starting',
      stateReason: 'the fake engine refuses',
      failures: 0,
    }),
  )
  expect((await rowsOf(fixture)).map((row) => row.status)).toEqual(['running'])

  runtime.engineState = 'answers'
  reconciler.wake()
  await nodeOf(waiting)
  expect(await nodeOf(fixture)).toBe(node)
  expect(await sessionOf(waiting)).toMatchObject({ failures: 0, restarts: 0 })
})

test('a start or stop that hangs holds up nobody else, and is given up in time', async () => {
  const slow = await createSession(database)
  const stuck = new Set([slow.sessionId])
  engine.beforeStart = async ({ labels }) => {
    if (stuck.has(labels.session_id ?? '')) await new Promise(() => undefined)
  }
  const reconciler = reconcile({ startConcurrency: 2, timeouts: { startMs: 300, callMs: 200, graceMs: 10 } })
  await eventually(() => expect(engine.starts).toHaveLength(1))
  const others = await Promise.all([1, 2, 3].map(() => createSession(database)))
  reconciler.wake()
  for (const other of others) await nodeOf(other)
  await eventually(async () => expect((await sessionOf(slow)).failures).toBeGreaterThan(0))
  expect((await rowsOf(slow))[0]?.exitReason).toMatch(/did not start: .*300 ms/)

  stuck.clear()
  const [first, second] = others
  if (!first || !second) throw new Error('no sessions')
  const stuckNode = await nodeOf(first)
  engine.beforeStop = async (handle) => {
    if (handle.name === stuckNode.spec.name) await new Promise(() => undefined)
  }
  await database.pool.query(`update session set desired = 'stopped' where id = any($1)`, [
    [first.sessionId, second.sessionId],
  ])
  reconciler.wake()
  await eventually(() => expect(nodesOf(second)).toEqual([]))
  expect(nodesOf(first)).toEqual([stuckNode])
})

test('nodes that never make it become an error with the reason and the last lines, tried more and more slowly', async () => {
  const fixture = await createSession(database)
  engine.beforeStart = async () => {
    throw new RuntimeError('image_missing', 'there is no image palomar-session')
  }
  const reconciler = reconcile()
  const leastMs = { 5: 20_000, 6: 40_000, 7: 85_000, 8: 220_000 } as Record<number, number>
  for (let n = 2; n <= 8; n++) {
    await eventually(async () => expect((await sessionOf(fixture)).failures).toBe(n))
    const { state, notBefore } = await sessionOf(fixture)
    expect(state).toBe(n < 5 ? 'starting' : 'error')
    if (n >= 5) expect((notBefore?.getTime() ?? 0) - Date.now()).toBeGreaterThan(leastMs[n] ?? 0)
    await database.prisma.session.update({ where: { id: fixture.sessionId }, data: { notBefore: null } })
    if (n < 8) reconciler.wake(fixture.sessionId)
  }
  const { stateReason } = await sessionOf(fixture)
  expect(stateReason).toMatch(/^8 nodes in a row .* there is no image palomar-session/)
  const { rows } = await database.pool.query(`select data from event where data ->> 'session_id' = $1`, [
    fixture.sessionId,
  ])
  expect(rows.map((row) => row.data)).toMatchObject([
    { state: 'error', reason: expect.stringMatching(/^5 nodes in a row/) },
  ])

  engine.beforeStart = async () => undefined
  reconciler.wake(fixture.sessionId)
  const node = await nodeOf(fixture)
  expect((await sessionOf(fixture)).state).toBe('error')
  await connect(fixture, node)
  expect(await sessionOf(fixture)).toMatchObject({ state: 'active', stateReason: null })
})

test('a deaf node is replaced when it has been silent for long, not before', async () => {
  const fixture = await createSession(database)
  const reconciler = reconcile()
  const node = await nodeOf(fixture)
  await connect(fixture, node)
  deaf.add(node.spec.name)
  reconciler.wake(fixture.sessionId)
  await eventually(async () =>
    expect(await rowsOf(fixture)).toMatchObject([{ health: 'unhealthy', failedProbes: 1 }]),
  )
  await database.pool.query(`update node set failed_probes = 2, last_seen_at = now() - interval '16 s'`)
  reconciler.wake(fixture.sessionId)
  await eventually(async () => expect(await nodeOf(fixture)).not.toBe(node))
  expect((await rowsOf(fixture))[0]?.exitReason).toMatch(/did not answer for 1\d s/)
})

test('an address that has passed to another node is not healthy', async () => {
  const fixture = await createSession(database)
  engine.serve = () => (_request, response) => void response.end('{"status":"ok","session_id":"other"}')
  const reconciler = reconcile()
  await nodeOf(fixture)
  reconciler.wake(fixture.sessionId)
  await eventually(async () => expect(await rowsOf(fixture)).toMatchObject([{ health: 'unhealthy' }]))
})
