import { randomUUID } from 'node:crypto'
import { type CommitRequestInput, commitRequest, type NodeEventInput } from '@palomar/session-node/contract'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createLogger, type Logger } from '../logger.ts'
import { createMetrics } from '../metrics.ts'
import { createSecrets } from '../secrets.ts'
import { createInboxStore } from '../sessions/inbox-store.ts'
import { createKeyStore } from '../sessions/key-store.ts'
import { createFanOut } from './fan-out.ts'
import { type Committed, createIngest } from './ingest.ts'
import type { StoredEvent } from './types.ts'

const database = await createTestDatabase()
const keys = createKeyStore(createSecrets(Buffer.alloc(32, 1)))
const inbox = createInboxStore(createSecrets(Buffer.alloc(32, 1)))
const errors: unknown[] = []
const quiet = createLogger('error', true)
const logger: Logger = Object.assign(Object.create(quiet), {
  error: (...said: unknown[]) => {
    errors.push(said)
    return quiet
  },
})
const fanOut = createFanOut(logger)
const published: StoredEvent[] = []
fanOut.subscribe((events) => void published.push(...events))
const committed: Committed[] = []
const hook = (commit: Committed) => void committed.push(commit)
const ingest = createIngest({
  database,
  keys,
  inbox,
  fanOut,
  logger,
  metrics: createMetrics(),
  onCommitted: [hook],
})

async function attached(): Promise<SessionFixture> {
  const fixture = await createSession(database)
  await database.pool.query(`update session set generation = 1, state = 'active' where id = $1`, [
    fixture.sessionId,
  ])
  return fixture
}

const commit = (seq: number, body: Partial<CommitRequestInput> = {}) =>
  commitRequest.parse({ generation: 1, seq, ...body })
const peer = { jid: '49170000001@s.whatsapp.net', pn: '49170000001' }
const text = (id: string, more: object = {}): NodeEventInput => ({
  type: 'message',
  origin: 'live',
  id,
  from_me: false,
  chat: peer,
  sender: peer,
  timestamp: 1_700_000_000,
  content: { type: 'text', text: { body: `hello ${id}` } },
  ...more,
})
const hash = (n: number) => n.toString(16).padStart(64, '0')
const entry = (n: number) => ({
  hash: hash(n),
  plaintext: 'aGk=',
  stanza: { attrs: { id: `${n}` }, enc_type: 'msg' },
})

test('creds, keys, inbox, messages and events land together', async () => {
  const { sessionId, accountId, tenantId } = await attached()
  const body = commit(1, {
    creds: '{"a":1}',
    keys: [{ type: 'session', id: 'x', value: 'one' }],
    inbox: [entry(1), entry(2)],
    events: [text('A', { settles: [hash(1)] })],
  })
  expect(await ingest.applyCommit(sessionId, body)).toEqual({ seq: 1, applied: true })
  expect(await keys.readKeys(database.pool, sessionId, 'session', ['x'])).toEqual({ x: 'one' })
  const session = await database.prisma.session.findUniqueOrThrow({ where: { id: sessionId } })
  expect(keys.openCreds(sessionId, session.creds as Uint8Array)).toBe('{"a":1}')
  expect(await database.transaction((tx) => inbox.readUnsettled(tx, sessionId))).toEqual([entry(2)])
  const event = published.findLast(({ account_id }) => account_id === accountId)
  expect(event).toMatchObject({
    type: 'message.received',
    tenant_id: tenantId,
    data: { message: { wa_id: 'A', from: peer.pn, text: { body: 'hello A' }, status: 'received' } },
  })
  const logged = await database.prisma.event.findMany({ where: { accountId } })
  expect(logged.map(({ id, data }) => ({ id: `${id}`, data }))).toEqual([
    { id: event?.id, data: event?.data },
  ])
})

test('a commit that fails half-way leaves nothing of itself', async () => {
  const { sessionId, accountId } = await attached()
  await database.pool.query(`alter table event add constraint no_such check (account_id <> '${accountId}')`)
  try {
    const body = commit(1, { keys: [{ type: 'session', id: 'x', value: 'one' }], events: [text('A')] })
    await expect(ingest.applyCommit(sessionId, body)).rejects.toThrow()
  } finally {
    await database.pool.query('alter table event drop constraint no_such')
  }
  expect(await keys.readKeys(database.pool, sessionId, 'session', ['x'])).toEqual({})
  expect(await database.prisma.message.count({ where: { accountId } })).toBe(0)
  expect((await database.prisma.session.findUniqueOrThrow({ where: { id: sessionId } })).lastSeq).toBe(0)
})

test('an older generation is fenced, a gap refused, a repeat answered; none of them writes', async () => {
  const { sessionId, accountId } = await attached()
  await ingest.applyCommit(sessionId, commit(1, { events: [text('A')] }))
  await database.pool.query('update session set generation = 2, last_seq = 0 where id = $1', [sessionId])
  await expect(ingest.applyCommit(sessionId, commit(2, { events: [text('B')] }))).rejects.toMatchObject({
    code: 'fenced',
  })
  const second = { generation: 2, events: [text('C')] }
  await expect(ingest.applyCommit(sessionId, commit(2, second))).rejects.toMatchObject({
    code: 'sequence_gap',
  })
  expect(await ingest.applyCommit(sessionId, commit(1, second))).toEqual({ seq: 1, applied: true })
  expect(await ingest.applyCommit(sessionId, commit(1, { generation: 2, events: [text('D')] }))).toEqual({
    seq: 1,
    applied: false,
  })
  const messages = await database.prisma.message.findMany({ where: { accountId }, orderBy: { waId: 'asc' } })
  expect(messages.map(({ waId }) => waId)).toEqual(['A', 'C'])
  await expect(ingest.applyCommit(randomUUID(), commit(1))).rejects.toMatchObject({ code: 'not_found' })
})

test('the same commit by two connections at once is applied once', async () => {
  const { sessionId, accountId } = await attached()
  const body = commit(1, { events: [text('A'), text('B')] })
  const results = await Promise.all(Array.from({ length: 8 }, () => ingest.applyCommit(sessionId, body)))
  expect(results.filter(({ applied }) => applied)).toHaveLength(1)
  expect(await database.prisma.event.count({ where: { accountId } })).toBe(2)
})

test('what a stranger can put in a message never makes a commit that cannot be stored', async () => {
  const { sessionId, accountId } = await attached()
  const nasty = 'a\0b\ud800c'
  const event = text('A', {
    timestamp: Number.MAX_SAFE_INTEGER,
    push_name: nasty,
    content: { type: 'text', text: { body: nasty } },
  })
  await ingest.applyCommit(sessionId, commit(1, { events: [event] }))
  const [message] = await database.prisma.message.findMany({ where: { accountId } })
  expect(message).toMatchObject({
    pushName: 'a\ufffdb\ufffdc',
    content: { text: { body: 'a\ufffdb\ufffdc' } },
  })
})

test('a body that can never be stored: refused with a code, logged once, the session marked, others untouched', async () => {
  const [bad, other] = [await attached(), await attached()]
  errors.length = 0
  const body = commit(1, { events: [text('A')], keys: [{ type: 'nul', id: 'a\0', value: 'secret value' }] })
  await expect(ingest.applyCommit(bad.sessionId, body)).rejects.toMatchObject({ code: 'invalid_request' })
  expect(errors).toHaveLength(1)
  expect(JSON.stringify(errors)).not.toContain('secret')
  const sessions = await database.prisma.session.findMany({
    where: { id: { in: [bad.sessionId, other.sessionId] } },
  })
  const states = new Map(sessions.map((session) => [session.id, session]))
  expect(states.get(bad.sessionId)).toMatchObject({
    state: 'error',
    lastSeq: 0,
    stateReason: expect.stringMatching(/commit/),
  })
  expect(states.get(other.sessionId)).toMatchObject({ state: 'active' })
  expect(await database.prisma.message.count({ where: { accountId: bad.accountId } })).toBe(0)
  expect(published.at(-1)).toMatchObject({ type: 'session.status.disconnected', account_id: bad.accountId })
})

test('hooks hear of the session’s news after the commit, and one that throws harms nothing', async () => {
  const { sessionId, accountId } = await attached()
  committed.length = 0
  await ingest.applyCommit(sessionId, commit(1, { events: [text('A')] }))
  await ingest.applyCommit(
    sessionId,
    commit(2, { events: [{ type: 'state', state: 'reconnecting', code: 428 }] }),
  )
  const failing = createIngest({
    ...{ database, keys, inbox, fanOut, logger, metrics: createMetrics() },
    onCommitted: [
      () => {
        throw new Error('mine')
      },
      hook,
    ],
  })
  await failing.applyCommit(sessionId, commit(3, { events: [{ type: 'state', state: 'active' }] }))
  await failing.applyCommit(sessionId, commit(3, { events: [{ type: 'state', state: 'active' }] }))
  expect(committed).toMatchObject([
    { sessionId, accountId, reports: [{ state: 'reconnecting' }] },
    { sessionId, accountId, reports: [{ state: 'active' }] },
  ])
})

test('however many syncs of history are stuck, a live message gets through', async () => {
  const syncing = await Promise.all(Array.from({ length: 25 }, attached))
  const live = await attached()
  const history: NodeEventInput = { type: 'history', messages: [], chats: [] }
  let stuck: Promise<unknown>[] = []
  await database.transaction(async (tx) => {
    await tx.query('select 1 from session where id = any($1) for update', [
      syncing.map(({ sessionId }) => sessionId),
    ])
    stuck = syncing.map(({ sessionId }) => ingest.applyCommit(sessionId, commit(1, { events: [history] })))
    // More of them than the pool has connections.
    await ingest.applyCommit(live.sessionId, commit(1, { events: [text('LIVE')] }))
  })
  expect(await Promise.all(stuck)).toEqual(syncing.map(() => ({ seq: 1, applied: true })))
})

test('a commit of keys alone, or with the protobuf of a send: fenced, in its turn and whole, like any other', async () => {
  const fixture = await attached()
  const { sessionId, accountId, tenantId } = fixture
  const conversation = await database.prisma.conversation.create({
    data: { id: randomUUID(), tenantId, accountId, kind: 'person', jid: peer.jid },
  })
  const message = await database.prisma.message.create({
    data: {
      ...{
        id: randomUUID(),
        tenantId,
        accountId,
        conversationId: conversation.id,
        waId: 'OURS',
        author: 'me',
      },
      ...{
        direction: 'outbound',
        origin: 'api',
        type: 'text',
        content: {},
        status: 'pending',
        timestamp: new Date(),
      },
    },
  })
  const key = (id: string, value: string | null) => ({ type: 'session', id, value })
  await ingest.applyCommit(sessionId, commit(1, { keys: [key('a', '1'), key('b', '1'), key('c', '1')] }))
  const second = commit(2, {
    keys: [key('a', null), key('b', '2'), key('c', null), key('c', '3'), key('none', null)],
    events: [{ type: 'prepared', id: 'OURS', raw: 'b25l' }],
  })
  expect(await ingest.applyCommit(sessionId, second)).toEqual({ seq: 2, applied: true })
  const read = () => keys.readKeys(database.pool, sessionId, 'session', ['a', 'b', 'c', 'none'])
  expect(await read()).toEqual({ b: '2', c: '3' })
  const stored = await database.prisma.message.findUniqueOrThrow({ where: { id: message.id } })
  expect(Buffer.from(stored.raw ?? []).toString()).toBe('one')

  const late = (seq: number, generation = 1) => commit(seq, { generation, keys: [key('b', 'late')] })
  expect(await ingest.applyCommit(sessionId, late(1))).toEqual({ seq: 2, applied: false })
  await expect(ingest.applyCommit(sessionId, late(4))).rejects.toMatchObject({ code: 'sequence_gap' })
  await database.pool.query('update session set generation = 2, last_seq = 0 where id = $1', [sessionId])
  await expect(ingest.applyCommit(sessionId, late(3))).rejects.toMatchObject({ code: 'fenced' })
  await expect(ingest.applyCommit(randomUUID(), late(1))).rejects.toMatchObject({ code: 'not_found' })
  expect(await read()).toEqual({ b: '2', c: '3' })
})

test('property: however commits are repeated and interleaved, the tables are those of applying each once', async () => {
  const someKeys = fc.array(
    fc.record({
      type: fc.constant('session'),
      id: fc.constantFrom('a', 'b'),
      value: fc.option(fc.constantFrom('1', '2', '3')),
    }),
    { maxLength: 3 },
  )
  const someEvents = fc.array(
    fc.oneof(
      fc.nat(5).map((n) => text(`M${n}`)),
      fc
        .nat(5)
        .map((n) => text(`M${n}`, { content: { type: 'undecryptable', undecryptable: { reason: 'x' } } })),
      fc.nat(3).map((n) => text(`P${n}`, { from_me: true, origin: 'phone' })),
      fc.record({
        type: fc.constant('receipt' as const),
        ids: fc.nat(3).map((n) => [`P${n}`]),
        status: fc.constantFrom('delivered', 'read'),
        chat: fc.constant(peer),
        timestamp: fc.nat(9).map((n) => 1_700_000_000 + n),
      }),
    ),
    { maxLength: 4 },
  )
  const bodies = fc.array(fc.record({ keys: someKeys, events: someEvents }), { minLength: 1, maxLength: 6 })
  const scenario = bodies.chain((all) =>
    fc.tuple(
      fc.constant(all),
      // Which commit is sent next: any of those up to the first unsent one, again and again.
      fc.array(fc.nat(), { maxLength: 12 }),
    ),
  )
  await fc.assert(
    fc.asyncProperty(scenario, async ([bodies, picks]) => {
      const [once, messy] = [await attached(), await attached()]
      const all = bodies.map(({ keys, events }, n) =>
        commit(n + 1, { keys, events: events as NodeEventInput[] }),
      )
      for (const body of all) await ingest.applyCommit(once.sessionId, body)
      let next = 0
      const send = (n: number) => ingest.applyCommit(messy.sessionId, all[n] as (typeof all)[0])
      for (const pick of picks) {
        const n = pick % Math.min(next + 2, all.length)
        if (n > next) await expect(send(n)).rejects.toMatchObject({ code: 'sequence_gap' })
        else await Promise.all([send(n), send(n)])
        if (n === next) next++
        if (next === all.length) break
      }
      for (let n = 0; n < all.length; n++) await send(n)
      expect(await tables(messy)).toEqual(await tables(once))
    }),
    { numRuns: 40 },
  )
}, 60_000)

async function tables({ sessionId, accountId }: SessionFixture) {
  const stored = await keys.readKeys(database.pool, sessionId, 'session', ['a', 'b'])
  const { rows: messages } = await database.pool.query(
    `select wa_id, direction, origin, author, type, content, status, timestamp, sent_at, delivered_at, read_at
     from message where account_id = $1 order by wa_id, author`,
    [accountId],
  )
  const { rows: events } = await database.pool.query(
    `select type, data->'message'->>'wa_id' as wa_id, data->'message'->>'status' as status
     from event where account_id = $1 order by id`,
    [accountId],
  )
  return { stored, messages, events }
}
