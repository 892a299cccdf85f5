/** Sending, from the accepted message to its end, against a small node that fails as it is told (contract-node.ts). */
import { commitRequest, type NodeEvent } from '@palomar/session-node/contract'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type Answer, acknowledged, type ContractNode, startContractNode } from '../../test/contract-node.ts'
import { createTestDatabase } from '../../test/database.ts'
import { createNode, createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createFanOut } from '../events/fan-out.ts'
import { createIngest } from '../events/ingest.ts'
import type { StoredEvent } from '../events/types.ts'
import { createLogger } from '../logger.ts'
import { createMetrics } from '../metrics.ts'
import { createNodeClients } from '../nodes/node-clients.ts'
import { createSecrets } from '../secrets.ts'
import { createInboxStore } from '../sessions/inbox-store.ts'
import { createKeyStore } from '../sessions/key-store.ts'
import { createAcceptor } from './accept-message.ts'
import { createCircuitBreaker } from './circuit-breaker.ts'
import { type MessageInput, messageInput } from './message-input.ts'
import { readMessage } from './message-queries.ts'
import type { Message } from './message-schemas.ts'
import { createSendWorker, type SendWorker } from './send-worker.ts'
import { createEndWaiter } from './wait-for-end.ts'

const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
const logger = createLogger('error', true)
const metrics = createMetrics()
const fanOut = createFanOut(logger)
const events: StoredEvent[] = []
fanOut.subscribe((more) => void events.push(...more))
const clients = createNodeClients(secrets)
const breaker = createCircuitBreaker({ failures: 3, firstMs: 600_000 })
const ends = createEndWaiter({ db: database.pool, fanOut })
let worker: SendWorker
const acceptor = createAcceptor({ database, wake: () => worker.wake() })
const ingest = createIngest({
  ...{ database, keys: createKeyStore(secrets), inbox: createInboxStore(secrets), fanOut, logger, metrics },
  onCommitted: [
    ({ accountId, reports }) => {
      if (reports.some((report) => report.type === 'state' && report.state === 'active'))
        void worker.resume(accountId)
    },
  ],
})
const nodes: ContractNode[] = []

beforeAll(() => {
  worker = createSendWorker({
    database,
    clients,
    breaker,
    fanOut,
    logger,
    metrics,
    paceMs: 0,
    ackTimeoutMs: 300,
  })
  worker.start()
})
afterEach(() => {
  for (const node of nodes) node.answer = acknowledged
})
afterAll(async () => {
  await worker.stop(10_000)
  await clients.closeAll()
  await Promise.all(nodes.map((node) => node.close()))
})

interface Account extends SessionFixture {
  node: ContractNode
}

async function account(state: 'active' | 'reconnecting' = 'active'): Promise<Account> {
  const fixture = await createSession(database, { state })
  const node = await startContractNode()
  nodes.push(node)
  const nodeId = await createNode(database, fixture)
  await database.pool.query('update node set address = $2 where id = $1', [nodeId, node.address])
  await database.pool.query('update session set generation = 1 where id = $1', [fixture.sessionId])
  return { ...fixture, node }
}

const input = ({ accountId }: SessionFixture, body = 'hi', more: Partial<MessageInput> = {}) =>
  messageInput.parse({ account_id: accountId, to: '+49 170 0000001', type: 'text', text: { body }, ...more })

async function accept(one: Account, body?: string, more?: Partial<MessageInput>): Promise<Message> {
  const accepted = await acceptor.accept(one.tenantId, input(one, body, more), { async: false, queue: true })
  if (!('message' in accepted)) throw new Error('no message')
  return accepted.message
}
/** in one transaction, so that the lane has all of them from the start */
async function acceptAll(one: Account, ...bodies: string[]) {
  const inputs = bodies.map((body) => input(one, body))
  const accepted = await acceptor.acceptMany(one.tenantId, inputs, { async: true, queue: true })
  if (!('results' in accepted)) throw new Error('no messages')
  return accepted.results as Message[]
}
const end = ({ tenantId }: Account, { id }: Message) => ends.waitForEnd(tenantId, id, 10_000)
const typesOf = ({ id }: Message) =>
  events.filter(({ data }) => (data.message as Message | undefined)?.id === id).map(({ type }) => type)
/** answers one after the other, the last one for ever */
const inTurn =
  (...answers: Answer[]) =>
  () =>
    (answers.length > 1 ? answers.shift() : answers[0]) as Answer

async function laneOf({ accountId }: Account) {
  const { rows } = await database.pool.query('select paused_reason, paused_until from lane where key = $1', [
    `out:${accountId}`,
  ])
  return rows[0]
}
async function jobsOf({ accountId }: Account) {
  const { rows } = await database.pool.query(
    'select state, attempts from lane_job where key = $1 order by id',
    [`out:${accountId}`],
  )
  return rows
}
/** once the lane has been paused */
async function paused(one: Account): Promise<{ paused_reason: string }> {
  for (;;) {
    const lane = await laneOf(one)
    if (lane?.paused_until) return lane
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('a message goes to the node with the id that was chosen for it, and is sent when the server says so', async () => {
  const one = await account()
  const message = await accept(one, 'hello', { metadata: { order: 7 } })
  expect(message).toMatchObject({ status: 'pending', wa_id: expect.stringMatching(/^3EB0[0-9A-F]{18}$/) })
  expect(await end(one, message)).toMatchObject({
    id: message.id,
    status: 'sent',
    sent_at: expect.any(String),
    metadata: { order: 7 },
  })
  expect(one.node.commands).toMatchObject([
    { id: message.wa_id, to: { pn: '491700000001' }, resolve: true, content: { text: { body: 'hello' } } },
  ])
  expect(typesOf(message)).toEqual(['message.sent'])
})

test('one account’s messages leave in order, one at a time; of those that wait, the more urgent first', async () => {
  const one = await account()
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  let under = 0
  one.node.answer = async () => {
    expect(++under).toBe(1)
    await held
    under--
    return acknowledged()
  }
  const messages = [await accept(one, '0')]
  await one.node.asked(1)
  for (let n = 1; n < 5; n++) messages.push(await accept(one, `${n}`))
  messages.push(await accept(one, 'urgent', { priority: 5 }))
  release()
  await Promise.all(messages.map((message) => end(one, message)))
  expect(one.node.commands.map(({ content }) => content.text.body)).toEqual([
    '0',
    'urgent',
    '1',
    '2',
    '3',
    '4',
  ])
})

test('the node’s commit brings the ack while the next message is out: told once, and the job ends by it', async () => {
  const one = await account()
  await end(one, await accept(one, 'resolves the recipient'))
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  one.node.answer = async ({ content }) => {
    if (content.text.body === 'second') await held
    return acknowledged()
  }
  const [first, second] = (await acceptAll(one, 'first', 'second')) as [Message, Message]
  await one.node.asked(3)
  await ingest.applyCommit(
    one.sessionId,
    commitRequest.parse({
      generation: 1,
      seq: 1,
      events: [{ type: 'ack', id: first.wa_id, timestamp: 1_700_000_000 }],
    }),
  )
  expect(await end(one, first)).toMatchObject({ status: 'sent' })
  await vi.waitFor(async () =>
    expect((await jobsOf(one)).map(({ state }) => state)).toEqual(['done', 'done', 'pending']),
  )
  release()
  expect(await end(one, second)).toMatchObject({ status: 'sent' })
  expect(typesOf(first)).toEqual(['message.sent'])
  expect(one.node.commands).toHaveLength(3)
})

test.each<[string, Answer]>([
  ['the server’s ack is missing', { error: 'ack_timeout' }],
  ['the node dies in the midst of it', { hangUp: true }],
  ['the node fails', { error: 'internal' }],
  ['WhatsApp asks to slow down', { error: 'throttled' }],
])('%s: tried again under the same id, and never called failed meanwhile', async (_name, failure) => {
  const one = await account()
  one.node.answer = inTurn(failure, { ok: {} })
  const message = await accept(one)
  await one.node.asked(1)
  expect((await readMessage(database.pool, one.tenantId, message.id)).status).toBe('pending')
  expect((await end(one, message)).status).toBe('sent')
  expect(one.node.commands.map(({ id }) => id)).toEqual([message.wa_id, message.wa_id])
  expect(typesOf(message)).toEqual(['message.sent'])
})

test('the second try sends the protobuf of the first', async () => {
  const one = await account()
  one.node.answer = async ({ id }) => {
    if (one.node.commands.length > 1) return acknowledged()
    const events = [{ type: 'prepared' as const, id, raw: 'cHJvdG8=' }]
    await ingest.applyCommit(one.sessionId, { generation: 1, seq: 1, keys: [], inbox: [], events })
    return { error: 'ack_timeout' }
  }
  await end(one, await accept(one))
  expect(one.node.commands.map(({ raw }) => raw)).toEqual([undefined, 'cHJvdG8='])
})

test.each([
  ['rejected', 463, 'reachout_timelock'],
  ['rejected', 479, 'invalid_message'],
  ['rejected', undefined, 'rejected'],
  ['recipient_not_found', undefined, 'recipient_not_found'],
] as const)(
  '%s %s fails the message for good as %s, and the next one goes on',
  async (error, wa_code, code) => {
    const one = await account()
    one.node.answer = inTurn({ error, wa_code }, { ok: {} })
    const [first, second] = [await accept(one, '1'), await accept(one, '2')]
    expect(await end(one, first)).toMatchObject({
      status: 'failed',
      error: { code, permanent: true },
      failed_at: expect.any(String),
    })
    expect((await end(one, second)).status).toBe('sent')
    expect(one.node.commands).toHaveLength(2)
    expect(typesOf(first)).toEqual(['message.failed'])
  },
)

const report = (one: Account, seq: number, ...events: NodeEvent[]) =>
  ingest.applyCommit(one.sessionId, { generation: 1, seq, keys: [], inbox: [], events })
const prepared = (id: string) => ({ type: 'prepared' as const, id, raw: 'cHJvdG8=' })
const refusal = (id: string) => ({ type: 'ack' as const, id, timestamp: 1_700_000_000, error: 463 })

test.each([
  ['the node’s answer', false],
  ['the node’s commit', true],
])(
  'refused after a try whose end is unknown, as told by %s: failed, until a receipt comes',
  async (_by, commits) => {
    const one = await account()
    one.node.answer = async ({ id }) => {
      if (one.node.commands.length === 1) {
        await report(one, 1, prepared(id))
        return { error: 'ack_timeout' }
      }
      const { status, error } = await readMessage(database.pool, one.tenantId, message.id)
      expect({ status, error }).toEqual({ status: 'pending', error: null })
      if (commits) await report(one, 2, prepared(id), refusal(id))
      return { error: 'rejected', wa_code: 463 }
    }
    const message = await accept(one)
    expect(await end(one, message)).toMatchObject({
      status: 'failed',
      error: { code: 'reachout_timelock', permanent: true, outcome_unknown: true },
    })
    const chat = { jid: '491700000001@s.whatsapp.net', pn: '491700000001' }
    const receipt = { type: 'receipt' as const, ids: [message.wa_id], status: 'delivered' as const, chat }
    await report(one, commits ? 3 : 2, { ...receipt, timestamp: 1_700_000_009 })
    expect(await readMessage(database.pool, one.tenantId, message.id)).toMatchObject({
      status: 'delivered',
      error: null,
      failed_at: null,
    })
    expect(typesOf(message)).toEqual(['message.failed', 'message.sent', 'message.delivered'])
  },
)

test('a refusal is final where no earlier try let bytes out, or there was none', async () => {
  const one = await account()
  one.node.answer = inTurn({ error: 'internal' }, { error: 'rejected', wa_code: 463 })
  const early = await end(one, await accept(one))
  one.node.answer = async ({ id }) => {
    await report(one, 1, prepared(id))
    await report(one, 2, refusal(id))
    return { error: 'rejected', wa_code: 463 }
  }
  const first = await end(one, await accept(one))
  for (const { status, error } of [early, first]) {
    expect(status).toBe('failed')
    expect(error).not.toHaveProperty('outcome_unknown')
  }
})

test('not connected: the lane stands still without counting a try, and goes on when the session is active', async () => {
  const one = await account('reconnecting')
  const message = await accept(one)
  expect(await paused(one)).toMatchObject({ paused_reason: 'the session is reconnecting' })
  expect(one.node.commands).toEqual([])
  const events = [{ type: 'state' as const, state: 'active' as const }]
  await ingest.applyCommit(one.sessionId, { generation: 1, seq: 1, keys: [], inbox: [], events })
  expect((await end(one, message)).status).toBe('sent')
  expect(await jobsOf(one)).toEqual([{ state: 'done', attempts: 1 }])
})

test('the node says that it is not connected just when the session becomes active: nothing is left standing', async () => {
  const one = await account()
  one.node.answer = inTurn({ error: 'not_connected' }, { ok: {} })
  const message = await accept(one)
  expect((await end(one, message)).status).toBe('sent')
  expect(await jobsOf(one)).toEqual([{ state: 'done', attempts: 1 }])
})

test('an ack in a commit and the node’s own answer: told once, whichever comes first', async () => {
  const one = await account()
  one.node.answer = async ({ id }) => {
    const events = [{ type: 'ack' as const, id, timestamp: 1_700_000_000 }]
    await ingest.applyCommit(one.sessionId, { generation: 1, seq: 1, keys: [], inbox: [], events })
    return acknowledged()
  }
  const [first, second] = [await accept(one), await accept(one)]
  expect(await end(one, first)).toMatchObject({ status: 'sent' })
  await one.node.asked(2)
  one.node.answer = acknowledged
  await end(one, second)
  expect(typesOf(first)).toEqual(['message.sent'])
})

test('asynchronous: the end is told with the correlation id, sent or failed', async () => {
  const one = await account()
  one.node.answer = inTurn({ ok: {} }, { error: 'rejected', wa_code: 463 })
  const accepted: Message[] = []
  for (let n = 0; n < 2; n++) {
    const answer = await acceptor.accept(one.tenantId, input(one), { async: true, queue: false })
    if ('message' in answer) accepted.push(answer.message)
  }
  for (const message of accepted) await end(one, message)
  const acks = accepted.map(({ correlation_id }) =>
    events.filter(({ type, data }) => type === 'message.ack' && data.correlation_id === correlation_id),
  )
  expect(acks).toMatchObject([
    [{ data: { message_id: accepted[0]?.id, status: 'sent', error: null } }],
    [{ data: { message_id: accepted[1]?.id, status: 'failed', error: { code: 'reachout_timelock' } } }],
  ])
})

test('an account that keeps failing rests, says why, and keeps what waits', async () => {
  const one = await account()
  one.node.answer = () => ({ error: 'rejected', wa_code: 463 })
  const messages = []
  for (let n = 0; n < 5; n++) messages.push(await accept(one, `${n}`))
  expect(await paused(one)).toMatchObject({
    paused_reason: expect.stringMatching(/keep failing: .*new people/),
  })
  const statuses = messages.map(async ({ id }) => (await readMessage(database.pool, one.tenantId, id)).status)
  expect(await Promise.all(statuses)).toEqual(['failed', 'failed', 'failed', 'pending', 'pending'])
})

test('the look-up finds another way to write the number: one conversation, the recipient’s own', async () => {
  const one = await account()
  const recipient = { jid: '90000000000001@lid', pn: '551187654321', lid: '90000000000001' }
  one.node.answer = () => ({ ok: { recipient } })
  const known = await accept(one, 'known', { to: '551187654321' })
  await end(one, known)
  const typed = await end(one, await accept(one, 'typed', { to: '5511987654321' }))
  expect(one.node.commands.map(({ resolve }) => resolve)).toEqual([true, true])
  const conversations = await database.prisma.conversation.findMany({ where: { accountId: one.accountId } })
  expect(conversations).toMatchObject([
    { pn: '551187654321', lid: '90000000000001', resolvedAt: expect.any(Date) },
  ])
  expect(typed.status).toBe('sent')
  await end(one, await accept(one, 'again', { to: '551187654321' }))
  expect(one.node.commands.at(-1)).toMatchObject({ resolve: false, to: { lid: '90000000000001' } })
})

test('an answer to a message carries it as it was', async () => {
  const one = await account()
  const chat = { jid: '491700000001@s.whatsapp.net', pn: '491700000001' }
  const received = {
    ...{
      type: 'message' as const,
      origin: 'live' as const,
      id: 'THEIRS',
      from_me: false,
      chat,
      sender: chat,
    },
    ...{
      timestamp: 1_700_000_000,
      content: { type: 'text' as const, text: { body: 'q' } },
      raw: 'cXVvdGVk',
      settles: [],
    },
  }
  await ingest.applyCommit(one.sessionId, { generation: 1, seq: 1, keys: [], inbox: [], events: [received] })
  await end(one, await accept(one, 'a', { context: { message_id: 'THEIRS' } }))
  expect(one.node.commands.at(-1)?.context).toEqual({
    message_id: 'THEIRS',
    from_me: false,
    participant: chat.jid,
    raw: 'cXVvdGVk',
  })
})

test('a message that is due later waits for its time and holds up no other', async () => {
  const one = await account()
  const later = await accept(one, 'later', { send_at: new Date(Date.now() + 400).toISOString() })
  const now = await accept(one, 'now')
  await end(one, now)
  expect((await end(one, later)).status).toBe('sent')
  expect(one.node.commands.map(({ content }) => content.text.body)).toEqual(['now', 'later'])
  expect(Date.parse(later.send_at ?? '')).toBeLessThanOrEqual(Date.now())
})

test('waiting ends with the state it is in when the time is up', async () => {
  const one = await account('reconnecting')
  const message = await accept(one)
  expect(await ends.waitForEnd(one.tenantId, message.id, 20)).toMatchObject({ status: 'pending' })
  await expect(ends.waitForEnd(uuidv7(), message.id, 10_000)).rejects.toMatchObject({
    code: 'message_not_found',
  })
})
