import { nodeEvent } from '@palomar/session-node/contract'
import { v7 as uuidv7 } from 'uuid'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { listConversations, readConversation } from './conversation-queries.ts'
import { listMessages, readMessage } from './message-queries.ts'
import { applyMessageReports } from './message-reports.ts'
import { conversationPage, messagePage, messageSchema } from './message-schemas.ts'
import { readStoredMessage } from './stored-message.ts'

const database = await createTestDatabase()
const db = database.pool
const AT = 1_700_000_000
const phone = (n: number) => `4917000000${String(n).padStart(2, '0')}`

function apply({ tenantId, accountId }: SessionFixture, reports: object[]) {
  const parsed = reports.map((report) => nodeEvent.parse(report))
  return database.transaction((tx) =>
    applyMessageReports(tx, { tenantId, accountId, accountPhone: null }, parsed),
  )
}
const text = (id: string, from: string, timestamp: number, more: object = {}) => ({
  ...{ type: 'message', origin: 'live', id, from_me: false, timestamp, push_name: `name of ${from}` },
  ...{ chat: { jid: `${from}@s.whatsapp.net` }, sender: { jid: `${from}@s.whatsapp.net` } },
  ...{ content: { type: 'text', text: { body: id } }, ...more },
})

/** all pages, one after the other; `between` runs after the first */
async function walk<T>(
  read: (cursor?: string) => Promise<{ data: T[]; next_cursor: string | null }>,
  between = async () => undefined as unknown,
) {
  const first = await read()
  await between()
  const all = [...first.data]
  for (let cursor = first.next_cursor; cursor !== null; ) {
    const next = await read(cursor)
    all.push(...next.data)
    cursor = next.next_cursor
  }
  return all
}

test('pages of messages: newest first, each once, in spite of equal times and of what comes meanwhile', async () => {
  const one = await createSession(database)
  await apply(
    one,
    Array.from({ length: 25 }, (_, n) => text(`M${n}`, phone(1), AT + Math.floor(n / 5))),
  )
  const { id } = await readConversation(db, one.tenantId, phone(1))
  const read = (cursor?: string) => listMessages(db, one.tenantId, id, { cursor, limit: 4 })
  const all = await walk(read, () => apply(one, [text('LATE', phone(1), AT + 99)]))
  expect(all.map(({ wa_id }) => wa_id).sort()).toEqual(Array.from({ length: 25 }, (_, n) => `M${n}`).sort())
  const times = all.map(({ timestamp }) => timestamp)
  expect(times).toEqual([...times].sort().reverse())
  expect(messagePage.safeParse(await read()).error).toBeUndefined()
  expect((await listMessages(db, one.tenantId, id, { limit: 26 })).next_cursor).toBeNull()
})

test('pages of conversations: the newest message first, an account’s alone where asked', async () => {
  const one = await createSession(database)
  const two = await createSession(database, { tenantId: one.tenantId })
  await apply(
    one,
    Array.from({ length: 7 }, (_, n) => text(`M${n}`, phone(n), AT + n)),
  )
  await apply(two, [text('X', phone(1), AT + 50)])
  await apply(one, [
    { type: 'history', messages: [], chats: [{ address: { jid: '120363000@g.us' }, name: 'empty' }] },
  ])
  const read = (cursor?: string) => listConversations(db, one.tenantId, { cursor, limit: 3 })
  const all = await walk(read)
  expect(all.map(({ phone }) => phone)).toEqual([1, 6, 5, 4, 3, 2, 1, 0].map(phone))
  expect(conversationPage.safeParse(await read()).error).toBeUndefined()
  const own = await listConversations(db, one.tenantId, { accountId: two.accountId, limit: 10 })
  expect(own).toMatchObject({
    data: [{ account_id: two.accountId, name: `name of ${phone(1)}` }],
    next_cursor: null,
  })
})

test.each(['zzz', '', Buffer.from('[1,2]').toString('base64url'), Buffer.from('{').toString('base64url')])(
  'a cursor that we did not give is refused: %j',
  async (cursor) => {
    const expected = { code: 'invalid_cursor' }
    await expect(listConversations(db, uuidv7(), { cursor, limit: 5 })).rejects.toMatchObject(expected)
    await expect(listMessages(db, uuidv7(), uuidv7(), { cursor, limit: 5 })).rejects.toMatchObject(expected)
  },
)

test('one conversation by id, phone in any form, JID and LID', async () => {
  const one = await createSession(database)
  const lid = '90000000000001'
  await apply(one, [text('A', phone(1), AT), { type: 'identities', pairs: [{ pn: phone(1), lid }] }])
  const { id } = await readConversation(db, one.tenantId, phone(1))
  for (const form of [id, `+${phone(1)}`, `${phone(1)}@c.us`, `${lid}@lid`]) {
    expect(await readConversation(db, one.tenantId, form, one.accountId)).toMatchObject({
      id,
      phone: phone(1),
      lid,
    })
  }
  await expect(readConversation(db, one.tenantId, phone(2))).rejects.toMatchObject({
    code: 'conversation_not_found',
  })
  await expect(readConversation(db, one.tenantId, 'Ada')).rejects.toMatchObject({ code: 'invalid_recipient' })
  await expect(readConversation(db, uuidv7(), id)).rejects.toMatchObject({ code: 'conversation_not_found' })
})

test('a number with which two accounts talk: the caller must say which', async () => {
  const one = await createSession(database)
  const two = await createSession(database, { tenantId: one.tenantId })
  for (const each of [one, two]) await apply(each, [text('A', phone(1), AT)])
  await expect(readConversation(db, one.tenantId, phone(1))).rejects.toMatchObject({
    code: 'invalid_request',
    fields: [{ field: 'account_id' }],
  })
  expect((await readConversation(db, one.tenantId, phone(1), two.accountId)).account_id).toBe(two.accountId)
})

test('one message, in the shape that is documented; of another tenant it does not exist', async () => {
  const one = await createSession(database)
  const [event] = await apply(one, [
    text('A', phone(1), AT, { context: { message_id: 'Q', from: `${phone(1)}@s.whatsapp.net` } }),
  ])
  const told = event?.data.message as { id: string }
  const message = await readMessage(db, one.tenantId, told.id)
  expect(message).toEqual(told)
  expect(messageSchema.safeParse(message).error).toBeUndefined()
  expect(message).toMatchObject({
    from: phone(1),
    from_name: `name of ${phone(1)}`,
    context: { message_id: 'Q' },
  })
  await expect(readMessage(db, uuidv7(), told.id)).rejects.toMatchObject({ code: 'message_not_found' })
})

test('the stored protobuf by WhatsApp’s id, of that session alone', async () => {
  const [one, two] = [await createSession(database), await createSession(database)]
  await apply(one, [text('A', phone(1), AT, { raw: 'cHJvdG8=' }), text('B', phone(1), AT)])
  expect(await readStoredMessage(db, one.sessionId, 'A')).toBe('cHJvdG8=')
  expect(await readStoredMessage(db, one.sessionId, 'B')).toBeNull()
  expect(await readStoredMessage(db, two.sessionId, 'A')).toBeNull()
})
