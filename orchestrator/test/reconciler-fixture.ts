/** A reconciler over a fake engine, new for each test of a file that imports this, and what the tests ask of it. */
import { afterEach, beforeEach, expect, vi } from 'vitest'
import { createFanOut } from '../src/events/fan-out.ts'
import { createLogger } from '../src/logger.ts'
import { createMetrics } from '../src/metrics.ts'
import { createNodeClients } from '../src/nodes/node-clients.ts'
import { createNodeSpecs } from '../src/nodes/node-spec.ts'
import { FakeEngine, type FakeNode } from '../src/nodes/runtime/fake-engine.ts'
import { FakeRuntime } from '../src/nodes/runtime/fake-runtime.ts'
import { createSecrets } from '../src/secrets.ts'
import { createAttach } from '../src/sessions/attach.ts'
import { createInboxStore } from '../src/sessions/inbox-store.ts'
import { createKeyStore } from '../src/sessions/key-store.ts'
import { createReconciler, type Reconciler, type ReconcilerOptions } from '../src/sessions/reconciler.ts'
import { createSessionChanges } from '../src/sessions/session-changes.ts'
import { applySessionReports, type StateReport } from '../src/sessions/session-reports.ts'
import { changeSession } from '../src/sessions/session-transaction.ts'
import { createTestDatabase } from './database.ts'
import type { SessionFixture } from './session-fixture.ts'

export const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
export const logger = createLogger('error', true)
const fanOut = createFanOut(logger)
const changes = createSessionChanges()
export const clients = createNodeClients(secrets)
export const keys = createKeyStore(secrets)
const inbox = createInboxStore(secrets)
const settings = { mark_online: true, max_pending_bytes: 1_000 }
const attach = createAttach({ database, keys, inbox, changes, settings })
export const sessions = { database, fanOut, changes }

export let engine: FakeEngine
export let runtime: FakeRuntime
let running: Reconciler[]
/** nodes, by name, that answer their probe with silence */
export let deaf: Set<string>

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

export function reconcile(overrides: Partial<ReconcilerOptions> = {}): Reconciler {
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

export const eventually = <T>(look: () => T | Promise<T>) =>
  vi.waitFor(look, { timeout: 10_000, interval: 20 })

export const nodesOf = ({ sessionId }: SessionFixture): FakeNode[] =>
  [...engine.nodes.values()].filter(
    (node) => node.spec.labels.session_id === sessionId && node.status.status === 'running',
  )

export async function nodeOf(fixture: SessionFixture): Promise<FakeNode> {
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

export const sessionOf = ({ sessionId }: SessionFixture) =>
  database.prisma.session.findUniqueOrThrow({ where: { id: sessionId } })
export const rowsOf = ({ sessionId }: SessionFixture) =>
  database.prisma.node.findMany({ where: { sessionId }, orderBy: [{ startedAt: 'asc' }, { id: 'asc' }] })

/** What a real node would do: attach, and report that it is connected. */
export async function connect(fixture: SessionFixture, node: FakeNode): Promise<void> {
  await attach(fixture.sessionId, { node_id: node.spec.labels.node_id ?? '', version: '1' })
  await report(fixture, { type: 'state', state: 'active' })
}

export const report = ({ sessionId }: SessionFixture, ...reports: StateReport[]) =>
  changeSession(sessions, sessionId, (tx, session) => applySessionReports(tx, session, reports))
