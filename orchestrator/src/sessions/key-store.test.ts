import { createHash } from 'node:crypto'
import type { InboxEntry } from '@palomar/session-node/contract'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession } from '../../test/session-fixture.ts'
import { createSecrets } from '../secrets.ts'
import { createInboxStore, sweepInbox } from './inbox-store.ts'
import { createKeyStore } from './key-store.ts'

const database = await createTestDatabase()
const secrets = createSecrets(Buffer.alloc(32, 1))
const keys = createKeyStore(secrets)
const inbox = createInboxStore(secrets)

const entry = (text: string): InboxEntry => ({
  hash: createHash('sha256').update(text).digest('hex'),
  plaintext: Buffer.from(text).toString('base64'),
  stanza: { attrs: { id: text, from: '49170@s.whatsapp.net' }, enc_type: 'msg' },
})

test('keys: written, changed, deleted; of two mutations of one key the later wins', async () => {
  const { sessionId } = await createSession(database)
  await database.transaction(async (tx) => {
    await keys.writeKeys(tx, sessionId, [
      { type: 'session', id: 'a', value: 'a1' },
      { type: 'session', id: 'a', value: 'a2' },
      { type: 'session', id: 'b', value: 'b1' },
      { type: 'pre-key', id: 'a', value: 'p' },
    ])
    await keys.writeKeys(tx, sessionId, [
      { type: 'session', id: 'b', value: null },
      { type: 'session', id: 'c', value: null },
      { type: 'session', id: 'c', value: 'c1' },
    ])
  })
  const found = await keys.readKeys(database.pool, sessionId, 'session', ['a', 'b', 'c', 'd'])
  expect(found).toEqual({ a: 'a2', c: 'c1' })
})

test('keys are sealed, and a row moved to another place does not open', async () => {
  const { sessionId } = await createSession(database)
  await database.transaction((tx) => keys.writeKeys(tx, sessionId, [{ type: 't', id: 'a', value: 'plain' }]))
  const { rows } = await database.pool.query('select value from signal_key where session_id = $1', [
    sessionId,
  ])
  expect(rows[0].value.includes('plain')).toBe(false)
  await database.pool.query("update signal_key set id = 'b' where session_id = $1", [sessionId])
  await expect(keys.readKeys(database.pool, sessionId, 't', ['b'])).rejects.toThrow()
})

test('the inbox is no place for key mutations, but can be read as keys', async () => {
  const { sessionId } = await createSession(database)
  const { hash, plaintext } = entry('one')
  await database.transaction(async (tx) => {
    await inbox.writeInbox(tx, sessionId, [entry('one')], [])
    await expect(keys.writeKeys(tx, sessionId, [{ type: 'x-inbox', id: hash, value: 'x' }])).rejects.toThrow()
  })
  const other = entry('two').hash
  expect(await keys.readKeys(database.pool, sessionId, 'x-inbox', [hash, other])).toEqual({
    [hash]: plaintext,
  })
})

test('inbox: unsettled entries in the order of their coming, settled by the same commit or a later one', async () => {
  const { sessionId } = await createSession(database)
  const texts = ['z', 'y', 'x', 'w', 'v']
  const state = () =>
    database.transaction(async (tx) => ({
      unsettled: await inbox.readUnsettled(tx, sessionId),
      seen: await inbox.readSeen(tx, sessionId),
    }))
  await database.transaction((tx) =>
    inbox.writeInbox(tx, sessionId, [...texts.map(entry), entry('z')], [entry('y').hash]),
  )
  expect((await state()).unsettled).toEqual(['z', 'x', 'w', 'v'].map(entry))
  await database.transaction((tx) =>
    inbox.writeInbox(tx, sessionId, [entry('u'), entry('x')], [entry('z').hash, entry('x').hash]),
  )
  const { unsettled, seen } = await state()
  expect(unsettled).toEqual(['w', 'v', 'u'].map(entry))
  expect(seen).toEqual([...texts, 'u'].reverse().map((text) => entry(text).hash))
})

test('the sweep deletes what is settled and old, in batches, and nothing else', async () => {
  const { sessionId } = await createSession(database)
  const texts = ['old-1', 'old-2', 'old-3', 'young', 'unsettled']
  const settled = texts.slice(0, 4).map((text) => entry(text).hash)
  await database.transaction((tx) => inbox.writeInbox(tx, sessionId, texts.map(entry), settled))
  await database.pool.query(
    `update inbox_entry set created_at = now() - interval '25 hours'
     where session_id = $1 and stanza #>> '{attrs,id}' <> 'young'`,
    [sessionId],
  )
  expect(await sweepInbox(database.pool, 2)).toBe(3)
  const { rows } = await database.pool.query(
    `select stanza #>> '{attrs,id}' as id from inbox_entry where session_id = $1 order by seq`,
    [sessionId],
  )
  expect(rows.map((row) => row.id)).toEqual(['young', 'unsettled'])
})
