import { randomUUID } from 'node:crypto'
import { type CommitRequestInput, commitRequest, type NodeEventInput } from '@palomar/session-node/contract'
import { beforeEach, expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createLogger } from '../logger.ts'
import { createMetrics } from '../metrics.ts'
import { createSecrets } from '../secrets.ts'
import { createInboxStore } from '../sessions/inbox-store.ts'
import { createKeyStore } from '../sessions/key-store.ts'
import { createFanOut } from './fan-out.ts'
import { createIngest } from './ingest.ts'
import { isSendingCommit } from './sending-commit.ts'

const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
const keys = createKeyStore(secrets)
const logger = createLogger('error', true)
const ingest = createIngest({
  ...{ database, keys, logger, inbox: createInboxStore(secrets), metrics: createMetrics() },
  fanOut: createFanOut(logger),
})

const AT = 1_700_000_000
const [PN, LID] = ['49170000001', '90000000000001']
const chat = { jid: `${PN}@s.whatsapp.net`, pn: PN }
const ack = (id: string): NodeEventInput => ({ type: 'ack', id, timestamp: AT })
const receipt = (id: string, more: object = {}): NodeEventInput => ({
  ...{ type: 'receipt', ids: [id], status: 'delivered', chat, timestamp: AT + 1 },
  ...more,
})
const commit = (seq: number, body: Partial<CommitRequestInput>) =>
  commitRequest.parse({ generation: 1, seq, ...body })
/** the ratchet and the protobuf of the second message, and what became of the first */
const usual = (seq = 1) =>
  commit(seq, {
    keys: [{ type: 'session', id: 'a', value: '1' }],
    events: [ack('ONE'), receipt('ONE'), { type: 'prepared', id: 'TWO', raw: 'dHdv' }],
  })

let session: SessionFixture
beforeEach(async () => {
  session = await sending()
})

/** a session with two messages that the API accepted */
async function sending(): Promise<SessionFixture> {
  const fixture = await createSession(database)
  const { tenantId, accountId, sessionId } = fixture
  await database.pool.query(`update session set generation = 1, state = 'active' where id = $1`, [sessionId])
  const owner = { tenantId, accountId }
  const conversation = await database.prisma.conversation.create({
    data: { ...owner, id: randomUUID(), kind: 'person', ...chat },
  })
  for (const waId of ['ONE', 'TWO']) {
    await database.prisma.message.create({
      data: {
        ...{ ...owner, id: randomUUID(), conversationId: conversation.id, waId, correlationId: randomUUID() },
        ...{ direction: 'outbound', origin: 'api', author: 'me', type: 'text', status: 'pending' },
        ...{ content: { type: 'text', text: { body: waId } }, timestamp: new Date() },
      },
    })
  }
  return fixture
}

async function stored({ sessionId, accountId }: SessionFixture) {
  const { rows: messages } = await database.pool.query(
    `select wa_id, status, sent_at, delivered_at, encode(raw, 'escape') as raw from message
     where account_id = $1 order by wa_id`,
    [accountId],
  )
  const { rows: events } = await database.pool.query(
    `select type, coalesce(data->'message'->>'wa_id', data->>'wa_id') as wa_id from event
     where account_id = $1 order by id`,
    [accountId],
  )
  const { lastSeq } = await database.prisma.session.findUniqueOrThrow({ where: { id: sessionId } })
  const read = await keys.readKeys(database.pool, sessionId, 'session', ['a'])
  return { messages, events, lastSeq, keys: read }
}

test('lands as it would by the longer way', async () => {
  expect(isSendingCommit(usual())).toBe(true)
  expect(await ingest.applyCommit(session.sessionId, usual())).toEqual({ seq: 1, applied: true })
  expect(await stored(session)).toMatchObject({
    messages: [
      { wa_id: 'ONE', status: 'delivered', sent_at: new Date(AT * 1000), raw: null },
      { wa_id: 'TWO', status: 'pending', raw: 'two' },
    ],
    events: [{ type: 'message.sent' }, { type: 'message.ack' }, { type: 'message.delivered' }],
    ...{ lastSeq: 1, keys: { a: '1' } },
  })

  const longer = await sending()
  const body = usual()
  body.events.push({ type: 'settled', hashes: ['0'.repeat(64)] })
  expect(isSendingCommit(body)).toBe(false)
  await ingest.applyCommit(longer.sessionId, body)
  expect(await stored(longer)).toEqual(await stored(session))
})

test('in its turn only', async () => {
  const untouched = await stored(session)
  await expect(ingest.applyCommit(session.sessionId, usual(2))).rejects.toMatchObject({
    code: 'sequence_gap',
  })
  await expect(ingest.applyCommit(randomUUID(), usual())).rejects.toMatchObject({ code: 'not_found' })
  await database.pool.query('update session set generation = 2 where id = $1', [session.sessionId])
  await expect(ingest.applyCommit(session.sessionId, usual())).rejects.toMatchObject({ code: 'fenced' })
  expect(await stored(session)).toEqual(untouched)
})

test('once, however often it comes', async () => {
  const results = await Promise.all(
    Array.from({ length: 8 }, () => ingest.applyCommit(session.sessionId, usual())),
  )
  expect(results.filter(({ applied }) => applied)).toHaveLength(1)
  expect((await stored(session)).events).toHaveLength(3)
})

test('whole or not at all, though its end is not waited for', async () => {
  const untouched = await stored(session)
  const { accountId, sessionId } = session
  await database.pool.query(`alter table event add constraint no_such check (account_id <> '${accountId}')`)
  try {
    await expect(ingest.applyCommit(sessionId, usual())).rejects.toMatchObject({ code: '23514' })
  } finally {
    await database.pool.query('alter table event drop constraint no_such')
  }
  expect(await stored(session)).toEqual(untouched)
})

test('a receipt that says who is who goes the longer way, and that is learned', async () => {
  const body = commit(1, { events: [receipt('ONE', { chat: { ...chat, lid: LID } })] })
  expect(isSendingCommit(body)).toBe(false)
  await ingest.applyCommit(session.sessionId, body)
  const { accountId } = session
  expect(await database.prisma.identity.findMany({ where: { accountId } })).toMatchObject([
    { pn: PN, lid: LID },
  ])
})
