import { type NodeEvent, type NodeEventInput, nodeEvent } from '@palomar/session-node/contract'
import { v7 as uuidv7 } from 'uuid'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import type { NewEvent } from '../events/types.ts'
import { applyMessageReports } from './message-reports.ts'

const database = await createTestDatabase()

const [PN, LID, OTHER] = ['49170000001', '90000000000001', '49170000002']
const byPn = { jid: `${PN}@s.whatsapp.net` }
const byLid = { jid: `${LID}@lid` }
const both = { jid: `${LID}@lid`, pn: PN }
const AT = 1_700_000_000

const text = (id: string, chat: object = byPn, more: object = {}): NodeEventInput =>
  ({
    ...{ type: 'message', origin: 'live', id, from_me: false, chat, sender: chat, timestamp: AT },
    ...{ content: { type: 'text', text: { body: id } }, ...more },
  }) as NodeEventInput
const undecryptable = (id: string, chat: object = byPn) =>
  text(id, chat, { content: { type: 'undecryptable', undecryptable: { reason: 'no session' } } })

function apply({ tenantId, accountId }: SessionFixture, ...reports: NodeEventInput[]): Promise<NewEvent[]> {
  const parsed: NodeEvent[] = reports.map((report) => nodeEvent.parse(report))
  const owner = { tenantId, accountId, accountPhone: '4915' }
  return database.transaction((tx) => applyMessageReports(tx, owner, parsed))
}

/** a message that the API accepted */
async function accepted(
  fixture: SessionFixture,
  waId: string,
  correlationId: string | null = null,
): Promise<void> {
  const { tenantId, accountId } = fixture
  const jid = `${OTHER}@s.whatsapp.net`
  const conversation =
    (await database.prisma.conversation.findFirst({ where: { accountId, jid } })) ??
    (await database.prisma.conversation.create({
      data: { id: uuidv7(), tenantId, accountId, kind: 'person', jid, pn: OTHER },
    }))
  await database.prisma.message.create({
    data: {
      ...{ id: uuidv7(), tenantId, accountId, conversationId: conversation.id, waId, correlationId },
      ...{ direction: 'outbound', origin: 'api', author: 'me', type: 'text', status: 'pending' },
      ...{ content: { type: 'text', text: { body: waId } }, timestamp: new Date() },
    },
  })
}

const messages = ({ accountId }: SessionFixture) =>
  database.prisma.message.findMany({ where: { accountId }, orderBy: [{ waId: 'asc' }, { author: 'asc' }] })
const conversations = ({ accountId }: SessionFixture) =>
  database.prisma.conversation.findMany({
    where: { accountId },
    orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
  })
const types = (events: NewEvent[]) => events.map(({ type }) => type)

test('new messages make events in order; known ones make nothing', async () => {
  const fixture = await createSession(database)
  const events = await apply(fixture, text('B'), text('A'), text('B'), text('C', byPn, { origin: 'offline' }))
  expect(events.map(({ type, data }) => [type, (data.message as { wa_id: string }).wa_id])).toEqual([
    ['message.received', 'B'],
    ['message.received', 'A'],
    ['message.received', 'C'],
  ])
  expect(await apply(fixture, text('A'), text('D'))).toHaveLength(1)
  expect(await messages(fixture)).toHaveLength(4)
})

test('the same id in two chats, or by two members of a group, is not the same message', async () => {
  const fixture = await createSession(database)
  const group = { jid: '1203630000@g.us' }
  const member = (n: number) => ({ sender: { jid: `9000000000000${n}@lid` } })
  const reports = [text('A', byPn), text('A', { jid: `${OTHER}@s.whatsapp.net` })]
  const events = await apply(fixture, ...reports, text('A', group, member(1)), text('A', group, member(2)))
  expect(events).toHaveLength(4)
  expect(await apply(fixture, text('A', group, member(2)))).toEqual([])
})

test('history is stored and never told; a sent one of it counts as sent', async () => {
  const fixture = await createSession(database)
  const chats = [
    { address: byPn, name: 'Ada' },
    { address: { jid: '1203630000@g.us' }, name: 'Team' },
  ]
  const history = [
    text('A', byPn, { origin: 'history' }),
    text('B', byPn, { origin: 'history', from_me: true }),
  ]
  expect(await apply(fixture, { type: 'history', messages: history, chats } as NodeEventInput)).toEqual([])
  expect(await messages(fixture)).toMatchObject([
    { status: 'received' },
    { status: 'sent', direction: 'outbound' },
  ])
  expect((await conversations(fixture)).map(({ name, kind }) => [name, kind])).toEqual([
    ['Ada', 'person'],
    ['Team', 'group'],
  ])
  expect(await apply(fixture, text('A'))).toEqual([])
})

test('what the owner sends on the phone is outbound and sent', async () => {
  const fixture = await createSession(database)
  const events = await apply(
    fixture,
    text('A', byPn, { origin: 'phone', from_me: true, sender: { jid: '4915@s.whatsapp.net' } }),
  )
  expect(events).toMatchObject([
    {
      type: 'message.sent',
      data: { message: { direction: 'outbound', origin: 'phone', to: PN, from: '4915' } },
    },
  ])
})

test('the copy of our own message that comes back under another address is not a second message', async () => {
  const fixture = await createSession(database)
  await accepted(fixture, 'A')
  expect(await apply(fixture, text('A', byLid, { origin: 'phone', from_me: true }))).toEqual([])
  expect(await messages(fixture)).toHaveLength(1)
})

test('an undecryptable message gives way to the real one, once, and is not told itself', async () => {
  const fixture = await createSession(database)
  expect(await apply(fixture, undecryptable('A'))).toEqual([])
  expect(await messages(fixture)).toMatchObject([{ type: 'undecryptable' }])
  expect(types(await apply(fixture, text('A')))).toEqual(['message.received'])
  expect(
    await apply(
      fixture,
      undecryptable('A'),
      text('A', byPn, { content: { type: 'text', text: { body: 'other' } } }),
    ),
  ).toEqual([])
  expect(await messages(fixture)).toMatchObject([{ type: 'text', content: { text: { body: 'A' } } }])
})

test('in one batch the real message wins over its placeholder, whichever comes first', async () => {
  const fixture = await createSession(database)
  const events = await apply(fixture, undecryptable('A'), text('A'), text('B'), undecryptable('B'))
  expect(types(events)).toEqual(['message.received', 'message.received'])
  expect((await messages(fixture)).map(({ type }) => type)).toEqual(['text', 'text'])
})

test('phone number and LID of one person lead to one conversation', async () => {
  const fixture = await createSession(database)
  await apply(fixture, text('A', both))
  await apply(fixture, text('B', byPn), text('C', byLid))
  expect(await conversations(fixture)).toMatchObject([{ pn: PN, lid: LID }])
})

test('within one batch, too, and whatever comes first', async () => {
  const fixture = await createSession(database)
  await apply(fixture, text('A', byPn), text('B', byLid), {
    type: 'identities',
    pairs: [{ pn: PN, lid: LID }],
  })
  expect(await conversations(fixture)).toMatchObject([{ pn: PN, lid: LID }])
})

test('two conversations that turn out to be one person are merged: messages moved, duplicates dropped', async () => {
  const fixture = await createSession(database)
  await apply(fixture, text('A', byPn), text('B', byPn), undecryptable('C', byPn))
  await apply(fixture, text('B', byLid), text('C', byLid), text('D', byLid, { timestamp: AT + 50 }))
  const [oldest] = await conversations(fixture)
  expect(await apply(fixture, { type: 'identities', pairs: [{ pn: PN, lid: LID }] })).toEqual([])
  expect(await conversations(fixture)).toMatchObject([
    { id: oldest?.id, pn: PN, lid: LID, lastMessageAt: new Date((AT + 50) * 1000) },
  ])
  const merged = await messages(fixture)
  expect(merged.map(({ waId, type }) => [waId, type])).toEqual([
    ['A', 'text'],
    ['B', 'text'],
    ['C', 'text'],
    ['D', 'text'],
  ])
  expect(new Set(merged.map(({ conversationId }) => conversationId))).toEqual(new Set([oldest?.id]))
})

test('a group member’s addresses merge the conversations with that member', async () => {
  const fixture = await createSession(database)
  await apply(fixture, text('A', byPn))
  await apply(fixture, text('B', byLid))
  await apply(fixture, text('C', { jid: '1203630000@g.us' }, { sender: both }))
  expect((await conversations(fixture)).map(({ pn, lid, kind }) => [kind, pn, lid])).toEqual([
    ['person', PN, LID],
    ['group', null, null],
  ])
})

test('a number that was given to somebody else starts a new conversation; a person’s new number does not', async () => {
  const fixture = await createSession(database)
  await apply(fixture, text('A', both))
  const heir = '90000000000009'
  await apply(fixture, text('B', { jid: byPn.jid, lid: heir }))
  await apply(fixture, text('C', { jid: byLid.jid, pn: OTHER }))
  await apply(fixture, text('D', byPn), text('E', { jid: `${OTHER}@s.whatsapp.net` }))
  expect((await conversations(fixture)).map(({ pn, lid }) => [pn, lid])).toEqual([
    [OTHER, LID],
    [PN, heir],
  ])
  const [first, second] = await conversations(fixture)
  expect((await messages(fixture)).map(({ waId, conversationId }) => [waId, conversationId])).toEqual([
    ['A', first?.id],
    ['B', second?.id],
    ['C', first?.id],
    ['D', second?.id],
    ['E', first?.id],
  ])
})

test('acks and receipts: each status is told once, in order, however they come', async () => {
  const fixture = await createSession(database)
  const correlation = uuidv7()
  await accepted(fixture, 'A', correlation)
  const chat = { jid: `${OTHER}@s.whatsapp.net` }
  const receipt = (status: 'delivered' | 'read' | 'played', timestamp: number): NodeEventInput => ({
    ...{ type: 'receipt', ids: ['A', 'unknown'], status, chat, timestamp },
  })
  expect(types(await apply(fixture, receipt('read', AT + 9)))).toEqual([
    'message.sent',
    'message.ack',
    'message.delivered',
    'message.read',
  ])
  const late = [{ type: 'ack', id: 'A', timestamp: AT } as const, receipt('delivered', AT + 5)]
  expect(await apply(fixture, ...late)).toEqual([])
  expect(await apply(fixture, receipt('played', AT + 10), receipt('read', AT + 9))).toEqual([])
  const time = (seconds: number) => new Date((AT + seconds) * 1000)
  expect(await messages(fixture)).toMatchObject([
    { status: 'played', sentAt: time(0), deliveredAt: time(5), readAt: time(9), playedAt: time(10) },
  ])
})

test('a refusal by the server fails the message with its reason; one that may pass leaves it pending', async () => {
  const fixture = await createSession(database)
  await accepted(fixture, 'A', uuidv7())
  await accepted(fixture, 'B')
  const events = await apply(
    fixture,
    { type: 'ack', id: 'A', timestamp: AT, error: 463 },
    { type: 'ack', id: 'B', timestamp: AT, error: 429 },
  )
  expect(events).toMatchObject([
    {
      type: 'message.failed',
      data: { message: { error: { code: 'reachout_timelock', wa_code: 463, permanent: true } } },
    },
    { type: 'message.ack', data: { status: 'failed' } },
  ])
  expect((await messages(fixture)).map(({ status }) => status)).toEqual(['failed', 'pending'])
})

test('the protobuf of a send is kept, and the first one stays', async () => {
  const fixture = await createSession(database)
  await accepted(fixture, 'A')
  await apply(fixture, { type: 'prepared', id: 'A', raw: 'b25l' })
  await apply(fixture, { type: 'prepared', id: 'A', raw: 'dHdv' })
  const [message] = await messages(fixture)
  expect(Buffer.from(message?.raw ?? []).toString()).toBe('one')
})

test('a message of another account is never touched', async () => {
  const [one, two] = [await createSession(database), await createSession(database)]
  await accepted(one, 'A')
  expect(await apply(two, { type: 'ack', id: 'A', timestamp: AT })).toEqual([])
  expect(await messages(one)).toMatchObject([{ status: 'pending' }])
})
