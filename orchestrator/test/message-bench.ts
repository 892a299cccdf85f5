/**
 * How fast messages are taken in and out of Postgres: `node --import tsx orchestrator/test/message-bench.ts`.
 * A durable Postgres (fsync on). One line of JSON at the end; times in milliseconds.
 */
import { rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { commitRequest, type NodeEventInput } from '@palomar/session-node/contract'
import { openDatabase } from '../src/db/database.ts'
import { startEmbeddedPostgres } from '../src/db/embedded-postgres.ts'
import { migrate } from '../src/db/migrate.ts'
import { createFanOut } from '../src/events/fan-out.ts'
import { createIngest } from '../src/events/ingest.ts'
import { createLogger } from '../src/logger.ts'
import { createAcceptor } from '../src/messages/accept-message.ts'
import { createCircuitBreaker } from '../src/messages/circuit-breaker.ts'
import { messageInput } from '../src/messages/message-input.ts'
import { createSendPlaces } from '../src/messages/send-places.ts'
import { createSendWorker } from '../src/messages/send-worker.ts'
import { createEndWaiter } from '../src/messages/wait-for-end.ts'
import { createMetrics } from '../src/metrics.ts'
import { createSecrets } from '../src/secrets.ts'
import { createInboxStore } from '../src/sessions/inbox-store.ts'
import { createKeyStore } from '../src/sessions/key-store.ts'
import { createNode, createSession, type SessionFixture } from './session-fixture.ts'

const dataDir = path.join(tmpdir(), `palomar-message-bench-${process.pid}`)
const postgres = await startEmbeddedPostgres({ dataDir, stopOnExit: true })
const url = await postgres.createDatabase('bench')
await migrate(url, path.join(import.meta.dirname, '../../prisma/migrations'))
const database = await openDatabase(url)
const secrets = createSecrets(Buffer.alloc(32, 1))
const logger = createLogger('error')
const fanOut = createFanOut(logger)
const metrics = createMetrics()
const ingest = createIngest({
  ...{ database, keys: createKeyStore(secrets), inbox: createInboxStore(secrets), fanOut, logger, metrics },
})

async function account(): Promise<SessionFixture> {
  const fixture = await createSession(database, { state: 'active' })
  await database.pool.query('update session set generation = 1 where id = $1', [fixture.sessionId])
  const nodeId = await createNode(database, fixture)
  await database.pool.query(`update node set address = 'http://node' where id = $1`, [nodeId])
  return fixture
}

/** `count` calls, `clients` at a time: rate and latency */
async function measure(
  count: number,
  clients: number,
  call: (n: number, client: number) => Promise<unknown>,
) {
  const times: number[] = []
  const start = performance.now()
  const cpu = process.cpuUsage()
  let next = 0
  const work = async (client: number) => {
    while (next < count) {
      const n = next++
      const before = performance.now()
      await call(n, client)
      times.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, client) => work(client)))
  const elapsed = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  times.sort((a, b) => a - b)
  const round = (ms = 0) => Math.round(ms * 100) / 100
  return {
    per_second: Math.round((count / elapsed) * 1000),
    p50: round(times[Math.floor(times.length / 2)]),
    p99: round(times[Math.floor(times.length * 0.99)]),
    // of this process; says more than the clock where the machine is shared
    cpu_ms: round((user + system) / 1000 / count),
  }
}

const input = (accountId: string, n: number) =>
  messageInput.parse({
    account_id: accountId,
    to: `49170${String(n % 500).padStart(7, '0')}`,
    type: 'text',
    text: { body: `message ${n}` },
  })
const options = { async: true, queue: true }

async function accepting(clients: number, accounts: number) {
  const fixtures = await Promise.all(Array.from({ length: accounts }, account))
  const acceptor = createAcceptor({ database, wake: () => undefined })
  return measure(1_500, clients, (n) => {
    const { tenantId, accountId } = fixtures[n % accounts] as SessionFixture
    return acceptor.accept(tenantId, input(accountId, n), options)
  })
}

async function bulk() {
  const { tenantId, accountId } = await account()
  const acceptor = createAcceptor({ database, wake: () => undefined })
  const inputs = Array.from({ length: 1_000 }, (_, n) => input(accountId, n))
  return measure(5, 1, () => acceptor.acceptMany(tenantId, inputs, options))
}

/** one client an account: a node has one commit in flight */
async function committing(clients: number, count: number, body: (n: number) => object) {
  const fixtures = await Promise.all(Array.from({ length: clients }, account))
  const seq = fixtures.map(() => 0)
  return measure(count, clients, (n, client) => {
    seq[client] = (seq[client] ?? 0) + 1
    const { sessionId } = fixtures[client] as SessionFixture
    return ingest.applyCommit(sessionId, commitRequest.parse({ generation: 1, seq: seq[client], ...body(n) }))
  })
}

const session = (n: number) => [{ type: 'session', id: `peer${n % 200}`, value: 'k'.repeat(1_500) }]
const messages = (n: number, size: number): NodeEventInput[] =>
  Array.from({ length: size }, (_, m) => {
    const jid = `49170${String((n + m) % 50).padStart(7, '0')}@s.whatsapp.net`
    return {
      ...{
        type: 'message',
        origin: 'live',
        id: `M${n}-${m}`,
        from_me: false,
        chat: { jid },
        sender: { jid },
      },
      ...{
        timestamp: 1_700_000_000 + n,
        content: { type: 'text', text: { body: 'hello there' } },
        raw: 'cHJvdG8=',
      },
    } as NodeEventInput
  })

/** a node that acknowledges at once: what the lane and Postgres cost a message */
async function dispatching(accounts: number, each: number): Promise<number> {
  const fixtures = await Promise.all(Array.from({ length: accounts }, account))
  const acceptor = createAcceptor({ database, wake: () => undefined })
  for (const { tenantId, accountId } of fixtures) {
    await acceptor.acceptMany(
      tenantId,
      Array.from({ length: each }, (_, n) => input(accountId, n)),
      options,
    )
  }
  const send = async ({ id, to }: { id: string; to: object }) =>
    ({ id, acked_at: 1_700_000_000, recipient: to, repeated: false }) as never
  const worker = createSendWorker({
    ...{ database, breaker: createCircuitBreaker(), fanOut, logger, metrics, paceMs: 0 },
    // No commits come from this node: each end is written by itself.
    ...{ ends: createEndWaiter({ db: database.pool, fanOut }), commitMs: 0 },
    places: createSendPlaces(),
    clients: { of: () => ({ send }) as never },
  })
  let sent = 0
  const start = performance.now()
  await new Promise<void>((resolve) => {
    fanOut.subscribe((events) => {
      sent += events.filter(({ type }) => type === 'message.sent').length
      if (sent === accounts * each) resolve()
    })
    worker.start()
  })
  const perSecond = Math.round((sent / (performance.now() - start)) * 1000)
  await worker.stop(5_000)
  return perSecond
}

const rows = (result: { per_second: number }, size: number) => ({
  ...result,
  rows_per_second: result.per_second * size,
})
const report = {
  warm_up: await accepting(4, 4).then(() => undefined),
  accept_1: await accepting(1, 1),
  accept_10_one_account: await accepting(10, 1),
  accept_10_ten_accounts: await accepting(10, 10),
  bulk_1000: await bulk(),
  keys_1: await committing(1, 1_000, (n) => ({ keys: session(n) })),
  keys_10: await committing(10, 3_000, (n) => ({ keys: session(n) })),
  prepared_1: await committing(1, 1_000, (n) => ({
    keys: session(n),
    events: [{ type: 'prepared', id: `P${n}`, raw: 'eA==' }],
  })),
  message_1: await committing(1, 1_000, (n) => ({ events: messages(n, 1) })),
  message_10: await committing(10, 2_000, (n) => ({ events: messages(n, 1) })),
  messages_100: rows(await committing(1, 60, (n) => ({ events: messages(n, 100) })), 100),
  dispatch_1: await dispatching(1, 600),
  dispatch_10: await dispatching(10, 150),
  cores: availableParallelism(),
}
await database.close()
await postgres.stop()
await rm(dataDir, { recursive: true, force: true })
console.log(JSON.stringify(report))
