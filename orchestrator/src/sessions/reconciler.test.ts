import { expect, test } from 'vitest'
import {
  clients,
  connect,
  database,
  engine,
  eventually,
  keys,
  logger,
  nodeOf,
  nodesOf,
  reconcile,
  report,
  rowsOf,
  runtime,
  sessionOf,
  sessions,
} from '../../test/reconciler-fixture.ts'
import { createSession } from '../../test/session-fixture.ts'
import { FakeRuntime } from '../nodes/runtime/fake-runtime.ts'
import { createLifecycle } from './lifecycle.ts'

test('starts a node for a session that wants one, and says so in the rows', async () => {
  const fixture = await createSession(database)
  const other = await createSession(database, { desired: 'stopped' })
  const out = await createSession(database, { state: 'logged_out' })
  reconcile()
  const node = await nodeOf(fixture)
  expect(await sessionOf(fixture)).toMatchObject({ state: 'starting' })
  const [row] = await rowsOf(fixture)
  const address = node.status.status === 'running' ? node.status.address : ''
  expect(row).toMatchObject({ driver: 'fake', address, port: Number(new URL(address).port) })
  expect(node.spec).toMatchObject({ bundle: 'production', labels: { session_id: fixture.sessionId } })
  expect([...nodesOf(other), ...nodesOf(out)]).toEqual([])
})

test('a node that ends is buried with its reason and last lines, and replaced at once', async () => {
  const fixture = await createSession(database)
  reconcile()
  const first = await nodeOf(fixture)
  await connect(fixture, first)
  first.print('last words')
  const died = performance.now()
  engine.exit(first.spec.name, 137, { oomKilled: true })
  const second = await eventually(async () => {
    const node = await nodeOf(fixture)
    expect(node).not.toBe(first)
    return node
  })
  expect(performance.now() - died).toBeLessThan(1_000)
  const rows = await rowsOf(fixture)
  expect(rows.map((row) => row.status)).toEqual(['exited', 'starting'])
  expect(rows[0]).toMatchObject({
    exitCode: 137,
    exitReason: 'ran out of memory',
    lastLogs: [expect.objectContaining({ text: 'last words', stream: 'stdout' })],
  })
  expect(await sessionOf(fixture)).toMatchObject({ state: 'reconnecting', failures: 1, restarts: 1 })
  await eventually(() => expect(engine.nodes.has(first.spec.name)).toBe(false))
  await connect(fixture, second)
  expect(await sessionOf(fixture)).toMatchObject({ state: 'active', generation: 2 })
})

test('an exit that nobody told, and a node that vanished, are found by looking', async () => {
  const fixture = await createSession(database)
  const reconciler = reconcile()
  const first = await nodeOf(fixture)
  engine.exit(first.spec.name, 1, { silent: true })
  reconciler.wake()
  const second = await eventually(async () => {
    const node = await nodeOf(fixture)
    expect(node).not.toBe(first)
    return node
  })
  await connect(fixture, second)
  engine.lose(second.spec.name)
  reconciler.wake(fixture.sessionId)
  await eventually(async () => expect(await nodeOf(fixture)).not.toBe(second))
  expect((await rowsOf(fixture)).map((row) => row.exitReason)).toEqual([
    'failed with exit code 1',
    'it vanished',
    null,
  ])
})

test('a new orchestrator adopts what runs, by the driver’s address, and starts nothing', async () => {
  const fixtures = await Promise.all([1, 2, 3].map(() => createSession(database)))
  const before = reconcile()
  const nodes = await Promise.all(fixtures.map(nodeOf))
  await before.stop()
  await runtime.close()
  await database.pool.query(
    `update node set address = 'http://127.0.0.1:1', last_seen_at = null, health = 'unknown'`,
  )
  // One was killed between the engine's start and its note.
  await database.pool.query('update node set handle = null where session_id = $1', [fixtures[0]?.sessionId])
  const starts = engine.starts.length

  reconcile({ runtime: new FakeRuntime(engine) })
  for (const [index, fixture] of fixtures.entries()) {
    const address = nodes[index]?.status.status === 'running' ? nodes[index].status.address : ''
    await eventually(async () =>
      expect(await rowsOf(fixture)).toMatchObject([
        { health: 'healthy', address, handle: nodes[index]?.handle },
      ]),
    )
  }
  expect(engine.starts.length).toBe(starts)
})

test('a start that never came to the engine is done again under the same name', async () => {
  const fixture = await createSession(database, { state: 'starting' })
  const { sessionId, tenantId } = fixture
  const id = '01890000-0000-7000-8000-000000000001'
  await database.prisma.node.create({ data: { id, sessionId, tenantId, driver: 'fake' } })
  reconcile()
  expect((await nodeOf(fixture)).spec.name).toBe(`palomar-${id}`)
})

test('strays are stopped: superseded, of a deleted account, unknown', async () => {
  const fixture = await createSession(database)
  const reconciler = reconcile()
  const current = await nodeOf(fixture)
  const stray = (session_id: string, node_id: string) =>
    engine.launch({
      name: `palomar-${node_id}`,
      labels: { session_id, node_id },
      env: {},
      bundle: 'production',
    })
  await stray(fixture.sessionId, '01890000-0000-7000-8000-000000000001')
  await stray('01890000-0000-7000-8000-0000000000ff', '01890000-0000-7000-8000-000000000002')
  await stray('no uuid', 'neither')
  reconciler.wake()
  await eventually(() => expect([...engine.nodes.values()]).toEqual([current]))
  await database.prisma.account.delete({ where: { id: fixture.accountId } })
  reconciler.wake()
  await eventually(() => expect(engine.nodes.size).toBe(0))
})

test('stop, start, restart, log out: as was asked, one node at a time', async () => {
  const fixture = await createSession(database)
  const reconciler = reconcile()
  const lifecycle = createLifecycle({ ...sessions, clients, reconciler, logger })
  const first = await nodeOf(fixture)
  await connect(fixture, first)

  expect(await lifecycle.stopSession(fixture)).toMatchObject({ desired: 'stopped', state: 'closed' })
  await eventually(() => expect(engine.nodes.size).toBe(0))
  await eventually(async () => expect((await rowsOf(fixture)).map((row) => row.status)).toEqual(['stopped']))

  expect(await lifecycle.startSession(fixture)).toMatchObject({ desired: 'running', state: 'starting' })
  const second = await nodeOf(fixture)
  await connect(fixture, second)
  expect(await lifecycle.startSession(fixture)).toMatchObject({ state: 'active' })

  expect(await lifecycle.restartSession(fixture)).toMatchObject({ desired: 'running', state: 'starting' })
  const third = await eventually(async () => {
    const node = await nodeOf(fixture)
    expect(node).not.toBe(second)
    return node
  })
  await connect(fixture, third)
  await database.transaction((tx) => keys.writeCreds(tx, fixture.sessionId, '{}'))
  expect(await lifecycle.logoutSession(fixture)).toMatchObject({
    desired: 'stopped',
    state: 'logged_out',
    me: null,
  })
  await eventually(() => expect(engine.nodes.size).toBe(0))
  expect(await database.prisma.credentialArchive.count({ where: { sessionId: fixture.sessionId } })).toBe(1)
  expect(await sessionOf(fixture)).toMatchObject({ creds: null, restarts: 0, failures: 0 })
  expect(await lifecycle.startSession(fixture)).toMatchObject({ state: 'starting' })
  await nodeOf(fixture)
})

test('a node whose session WhatsApp logged out is stopped', async () => {
  const fixture = await createSession(database)
  reconcile()
  await connect(fixture, await nodeOf(fixture))
  await report(fixture, { type: 'state', state: 'logged_out', code: 401 })
  await eventually(() => expect(engine.nodes.size).toBe(0))
  expect(await sessionOf(fixture)).toMatchObject({ state: 'logged_out', desired: 'running', failures: 0 })
})

test('stop waits for what is under way and leaves nodes running', async () => {
  const fixture = await createSession(database)
  let letGo: () => void = () => undefined
  engine.beforeStart = () =>
    new Promise((resolve) => {
      letGo = resolve
    })
  const reconciler = reconcile()
  await eventually(() => expect(engine.starts).toHaveLength(1))
  const ended = reconciler.stop()
  letGo()
  await ended
  expect(await rowsOf(fixture)).toMatchObject([{ handle: expect.anything() }])
  expect(nodesOf(fixture)).toHaveLength(1)
})
