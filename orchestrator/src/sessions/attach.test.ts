import { v7 as uuid } from 'uuid'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createNode, createSession, readSessionRow } from '../../test/session-fixture.ts'
import { createSecrets } from '../secrets.ts'
import { createAttach } from './attach.ts'
import { createInboxStore } from './inbox-store.ts'
import { createKeyStore } from './key-store.ts'
import { createSessionChanges } from './session-changes.ts'

const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
const keys = createKeyStore(secrets)
const inbox = createInboxStore(secrets)
const settings = { mark_online: true, max_pending_bytes: 1_000 }
const attach = createAttach({ database, keys, inbox, changes: createSessionChanges(), settings })

test('the first attach of a new session: nothing but a generation', async () => {
  const fixture = await createSession(database)
  const node_id = await createNode(database, fixture, 'starting')
  expect(await attach(fixture.sessionId, { node_id, version: '1' })).toEqual({
    generation: 1,
    creds: null,
    me: null,
    unsettled: [],
    seen: [],
    acked: [],
    settings,
  })
  expect(await database.prisma.node.findUniqueOrThrow({ where: { id: node_id } })).toMatchObject({
    status: 'running',
    generation: 1,
    attachedAt: expect.any(Date),
  })
})

test('a later attach goes on where the last node was, and its commits count from 1', async () => {
  const fixture = await createSession(database)
  const { sessionId, accountId, tenantId } = fixture
  const node_id = await createNode(database, fixture)
  const me = { jid: '49170@s.whatsapp.net', pn: '49170' }
  await database.prisma.session.update({ where: { id: sessionId }, data: { generation: 6, lastSeq: 40, me } })
  const stanza = { attrs: { id: 'A' }, enc_type: 'msg' }
  const entry = { hash: 'ab'.repeat(32), plaintext: 'aGk=', stanza }
  await database.transaction(async (tx) => {
    await keys.writeCreds(tx, sessionId, '{"registered":true}')
    await inbox.writeInbox(tx, sessionId, [entry], [])
  })
  const conversationId = uuid()
  await database.prisma.conversation.create({
    data: { id: conversationId, tenantId, accountId, kind: 'person', jid: '1@s.whatsapp.net' },
  })
  const message = (waId: string, direction: string, sentAt: Date | null) => ({
    ...{ id: uuid(), tenantId, accountId, conversationId, waId, direction, sentAt },
    ...{ origin: direction === 'outbound' ? 'api' : 'live', author: waId, type: 'text', content: {} },
    ...{ status: 'sent', timestamp: new Date() },
  })
  await database.prisma.message.createMany({
    data: [
      message('FIRST', 'outbound', new Date(Date.now() - 60_000)),
      message('SECOND', 'outbound', new Date()),
      message('PENDING', 'outbound', null),
      message('OLD', 'outbound', new Date(Date.now() - 25 * 3_600_000)),
      message('THEIRS', 'inbound', new Date()),
    ],
  })
  expect(await attach(sessionId, { node_id, version: '1' })).toMatchObject({
    generation: 7,
    creds: '{"registered":true}',
    me,
    unsettled: [entry],
    seen: [entry.hash],
    acked: ['SECOND', 'FIRST'],
  })
  expect(await readSessionRow(database, sessionId)).toMatchObject({ generation: 7, lastSeq: 0 })
})

test('attaches at once get different generations', async () => {
  const fixture = await createSession(database)
  const node_id = await createNode(database, fixture)
  const results = await Promise.all([1, 2, 3].map(() => attach(fixture.sessionId, { node_id, version: '1' })))
  expect(results.map((result) => result.generation).sort()).toEqual([1, 2, 3])
})

test('a node that is unknown, replaced, another session’s or to be stopped gets nothing, and fences nobody', async () => {
  const fixture = await createSession(database)
  const { sessionId } = fixture
  const stopped = await createSession(database, { desired: 'stopped' })
  const other = await createSession(database)
  const older = await createNode(database, fixture)
  await createNode(database, fixture)
  for (const [id, node_id] of [
    [sessionId, older],
    [sessionId, uuid()],
    [sessionId, 'no uuid'],
    [sessionId, await createNode(database, fixture, 'exited')],
    [sessionId, await createNode(database, fixture, 'stopping')],
    [sessionId, await createNode(database, other)],
    [stopped.sessionId, await createNode(database, stopped)],
  ] as const)
    await expect(attach(id, { node_id, version: '1' })).rejects.toMatchObject({ code: 'fenced' })
  await expect(attach(uuid(), { node_id: uuid(), version: '1' })).rejects.toMatchObject({ code: 'not_found' })
  expect(await readSessionRow(database, sessionId)).toMatchObject({ generation: 0 })
})
