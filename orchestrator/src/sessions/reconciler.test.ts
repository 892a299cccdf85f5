import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createFanOut } from '../events/fan-out.ts'
import { createLogger } from '../logger.ts'
import { createMetrics } from '../metrics.ts'
import { createNodeClients } from '../nodes/node-clients.ts'
import { createNodeSpecs } from '../nodes/node-spec.ts'
import { FakeEngine, type FakeNode } from '../nodes/runtime/fake-engine.ts'
import { FakeRuntime } from '../nodes/runtime/fake-runtime.ts'
import { RuntimeError } from '../nodes/runtime/runtime.ts'
import { createSecrets } from '../secrets.ts'
import { createAttach } from './attach.ts'
import { createInboxStore } from './inbox-store.ts'
import { createKeyStore } from './key-store.ts'
import { createLifecycle } from './lifecycle.ts'
import { createReconciler, type Reconciler, type ReconcilerOptions } from './reconciler.ts'
import { createSessionChanges } from './session-changes.ts'
import { applySessionReports, type StateReport } from './session-reports.ts'
import { changeSession } from './session-transaction.ts'

const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
const logger = createLogger('error', true)
const fanOut = createFanOut(logger)
const changes = createSessionChanges()
const clients = createNodeClients(secrets)
const keys = createKeyStore(secrets)
const inbox = createInboxStore(secrets)
const settings = { mark_online: true, max_pending_bytes: 1_000 }
const attach = createAttach({ database, keys, inbox, changes, settings })
const sessions = { database, fanOut, changes }

let engine: FakeEngine
let runtime: FakeRuntime
let running: Reconciler[]
/** nodes, by name, that answer their probe with silence */
let deaf: Set<string>

beforeEach(() => {
  engine = new FakeEngine()
  runtime = new FakeRuntime(engine)
  running = []
  deaf = new Set()
  engine.serve = (node) => (_request, response) => {
    if (deaf.has(node.spec.name)) return void response.destroy()
    const { PALOMAR_SESSION_ID: session_id, PALOMAR_NODE_ID: node_id } = node.spec.env
    const commits = { pending: 0, pending_bytes: 0, durable_seq: 0 }
    const health = { status: 'ok', session_id, node_id, generation: 1, state: 'active', uptime_seconds: 1 }
    response.end(JSON.stringify({ ...health, last_traffic_at: null, commits }))
  }
})

afterEach(async () => {
  await Promise.all(running.map((reconciler) => reconciler.stop()))
  await clients.closeAll()
  engine.dispose()
  await database.pool.query('delete from tenant')
})

function reconcile(overrides: Partial<ReconcilerOptions> = {}): Reconciler {
  const specOf = createNodeSpecs({
    secrets,
    orchestratorUrl: 'http://127.0.0.1:1',
    config: { simulator: undefined, logLevel: 'info' },
  })
  const reconciler = createReconciler({
    ...sessions,
    ...{ runtime, clients, specOf, logger, metrics: createMetrics() },
    ...{ reconcileMs: 60_000, startConcurrency: 4, timeouts: { graceMs: 50, callMs: 500, startMs: 2_000 } },
    ...overrides,
  })
  running.push(reconciler)
  reconciler.start()
  return reconciler
}

const eventually = <T>(look: () => T | Promise<T>) => vi.waitFor(look, { timeout: 10_000, interval: 20 })

const nodesOf = ({ sessionId }: SessionFixture): FakeNode[] =>
  [...engine.nodes.values()].filter(
    (node) => node.spec.labels.session_id === sessionId && node.status.status === 'running',
  )

async function nodeOf(fixture: SessionFixture): Promise<FakeNode> {
  return eventually(async () => {
    const [node, ...others] = nodesOf(fixture)
    if (!node) throw new Error('no node')
    expect(others).toEqual([])
    const row = await database.prisma.node.findUniqueOrThrow({
      where: { id: node.spec.labels.node_id ?? '' },
    })
    expect(row).toMatchObject({ handle: node.handle })
    return node
  })
}

const sessionOf = ({ sessionId }: SessionFixture) =>
  database.prisma.session.findUniqueOrThrow({ where: { id: sessionId } })
const rowsOf = ({ sessionId }: SessionFixture) =>
  database.prisma.node.findMany({ where: { sessionId }, orderBy: [{ startedAt: 'asc' }, { id: 'asc' }] })

/** What a real node would do: attach, and report that it is connected. */
async function connect(fixture: SessionFixture, node: FakeNode): Promise<void> {
  await attach(fixture.sessionId, { node_id: node.spec.labels.node_id ?? '', version: '1' })
  await report(fixture, { type: 'state', state: 'active' })
}

const report = ({ sessionId }: SessionFixture, ...reports: StateReport[]) =>
  changeSession(sessions, sessionId, (tx, session) => applySessionReports(tx, session, reports))

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

  runtime = new FakeRuntime(engine)
  reconcile()
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

test('of two orchestrators one reconciles; the other wakes it, and takes over when it ends', async () => {
  const early = await createSession(database)
  const first = reconcile()
  await nodeOf(early)
  const second = reconcile({ reconcileMs: 50 })
  const fixtures = await Promise.all([1, 2, 3].map(() => createSession(database)))
  for (const { sessionId } of fixtures) second.wake(sessionId)
  for (const fixture of fixtures) await nodeOf(fixture)
  expect(engine.starts).toHaveLength(4)
  await first.stop()
  const after = await createSession(database)
  await nodeOf(after)
})

test('a leader whose connection is cut stops leading, and leads again', async () => {
  reconcile({ reconcileMs: 50 })
  await createSession(database).then(nodeOf)
  await database.pool.query(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()
     and database = (select oid from pg_database where datname = current_database())`,
  )
  await createSession(database).then(nodeOf)
  expect(engine.starts).toHaveLength(2)
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
