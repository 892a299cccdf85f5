import { createHash } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { PalomarError } from '../errors.ts'
import type { SessionState } from '../sessions/state-table.ts'
import { createAcceptor } from './accept-message.ts'
import { finishKey, purgeKeys } from './idempotency.ts'
import { type MessageInput, messageInput } from './message-input.ts'
import type { Message } from './message-schemas.ts'

const database = await createTestDatabase()
let woken = 0
const acceptor = createAcceptor({ database, wake: () => void woken++ })
const sync = { async: false, queue: false }

const account = (state: SessionState = 'active') => createSession(database, { state })
const input = ({ accountId }: SessionFixture, more: Partial<MessageInput> = {}) =>
  messageInput.parse({
    account_id: accountId,
    to: '491700000001',
    type: 'text',
    text: { body: 'hi' },
    ...more,
  })
const key = (name: string, body = 'body') => ({
  key: name,
  requestHash: createHash('sha256').update(body).digest(),
})
const messageOf = (accepted: object) => (accepted as { message: Message }).message

/** what the database holds of the account */
async function stored({ accountId }: SessionFixture) {
  const { rows } = await database.pool.query(
    `select (select count(*)::int from message where account_id = $1) as messages,
       (select count(*)::int from conversation where account_id = $1) as conversations,
       (select count(*)::int from lane_job where key = 'out:' || $1) as jobs`,
    [accountId],
  )
  return rows[0]
}
const nothing = { messages: 0, conversations: 0, jobs: 0 }

test('message, conversation and job are there when it returns, and the worker knows', async () => {
  const one = await account()
  const before = woken
  const message = messageOf(await acceptor.accept(one.tenantId, input(one), sync))
  expect(message).toMatchObject({
    status: 'pending',
    origin: 'api',
    to: '491700000001',
    correlation_id: null,
  })
  expect(await stored(one)).toEqual({ messages: 1, conversations: 1, jobs: 1 })
  expect(woken).toBe(before + 1)
})

test('many to one new number at once: one conversation', async () => {
  const one = await account()
  const forms = ['491700000001', '+49 170 0000001', '491700000001@c.us', '491700000001@s.whatsapp.net']
  const accepted = await Promise.all(
    [...forms, ...forms].map((to) => acceptor.accept(one.tenantId, input(one, { to }), sync)),
  )
  expect(new Set(accepted.map((each) => messageOf(each).conversation_id)).size).toBe(1)
  expect(await stored(one)).toEqual({ messages: 8, conversations: 1, jobs: 8 })
})

test.each<[string, (one: SessionFixture) => Partial<MessageInput>, SessionState, string]>([
  ['an unknown account', () => ({ account_id: uuidv7() }), 'active', 'account_not_found'],
  ['no recipient', () => ({ to: 'Ada' }), 'active', 'invalid_recipient'],
  ['an unknown quoted message', () => ({ context: { message_id: 'X' } }), 'active', 'message_not_found'],
  ['a session that is not connected', () => ({}), 'reconnecting', 'session_not_connected'],
])('%s: a coded error and nothing written', async (_name, more, state, code) => {
  const one = await account(state)
  const request = { ...sync, idempotency: key('refused') }
  await expect(acceptor.accept(one.tenantId, input(one, more(one)), request)).rejects.toMatchObject({ code })
  expect(await stored(one)).toEqual(nothing)
  // and no key, so that the corrected request may use it
  expect(messageOf(await acceptor.accept(one.tenantId, input(one), { ...request, queue: true })).status).toBe(
    'pending',
  )
})

test('another tenant’s account does not exist', async () => {
  const [one, other] = [await account(), await account()]
  await expect(acceptor.accept(other.tenantId, input(one), sync)).rejects.toMatchObject({
    code: 'account_not_found',
  })
})

test('the number of a person who is known by a LID leads to their conversation, and two of them become one', async () => {
  const one = await account()
  const to = '491700000001'
  const byLid = messageOf(await acceptor.accept(one.tenantId, input(one, { to: '77777@lid' }), sync))
  await database.pool.query('insert into identity (account_id, pn, lid) values ($1, $2, $3)', [
    ...[one.accountId, to, '77777'],
  ])
  const byNumber = messageOf(await acceptor.accept(one.tenantId, input(one, { to }), sync))
  expect(byNumber).toMatchObject({ conversation_id: byLid.conversation_id, to })

  const [two, apart] = [await account(), '491700000002']
  const first = messageOf(await acceptor.accept(two.tenantId, input(two, { to: '88888@lid' }), sync))
  await acceptor.accept(two.tenantId, input(two, { to: apart }), sync)
  await database.pool.query('insert into identity (account_id, pn, lid) values ($1, $2, $3)', [
    ...[two.accountId, apart, '88888'],
  ])
  const joined = await Promise.all(
    [apart, '88888@lid'].map((name) => acceptor.accept(two.tenantId, input(two, { to: name }), sync)),
  )
  expect(joined.map((each) => messageOf(each).conversation_id)).toEqual([
    ...[first.conversation_id, first.conversation_id],
  ])
  expect(await stored(two)).toEqual({ messages: 4, conversations: 1, jobs: 4 })
})

test('a message is quoted by its id or its wa_id, and only by its own account', async () => {
  const [one, other] = [await account(), await account()]
  const { id, wa_id } = messageOf(await acceptor.accept(one.tenantId, input(one), sync))
  for (const message_id of [id, wa_id]) {
    const answer = await acceptor.accept(one.tenantId, input(one, { context: { message_id } }), sync)
    expect(messageOf(answer).context).toEqual({ message_id: wa_id })
    const strange = acceptor.accept(other.tenantId, input(other, { context: { message_id } }), sync)
    await expect(strange).rejects.toMatchObject({ code: 'message_not_found' })
  }
})

test('not connected: refused with the state, unless it may wait', async () => {
  const one = await account('waiting_qr')
  await expect(acceptor.accept(one.tenantId, input(one), sync)).rejects.toMatchObject({
    code: 'session_not_connected',
    extra: { state: 'waiting_qr' },
  })
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
  await acceptor.accept(one.tenantId, input(one), { async: false, queue: true })
  await acceptor.accept(one.tenantId, input(one, { send_at: tomorrow }), sync)
  const { message } = (await acceptor.accept(one.tenantId, input(one), { async: true, queue: false })) as {
    message: Message
  }
  expect(message.correlation_id).not.toBeNull()
  expect(await stored(one)).toMatchObject({ messages: 3, jobs: 3 })
})

test('Idempotency-Key: running 409, then the first answer again, 422 for another body; each tenant has its own', async () => {
  const [one, other] = [await account(), await account()]
  const request = { ...sync, idempotency: key('k') }
  const first = messageOf(await acceptor.accept(one.tenantId, input(one), request))
  const again = () => acceptor.accept(one.tenantId, input(one), request)
  await expect(again()).rejects.toMatchObject({ code: 'idempotency_in_progress' })
  const answer = { status: 201, body: { ...first, status: 'sent' } }
  await finishKey(database.pool, one.tenantId, 'k', answer)
  await finishKey(database.pool, one.tenantId, 'k', { status: 500, body: null })
  expect(await again()).toEqual({ answer })
  const changed = { ...sync, idempotency: key('k', 'another body') }
  await expect(acceptor.accept(one.tenantId, input(one), changed)).rejects.toMatchObject({
    code: 'idempotency_mismatch',
  })
  expect(await stored(one)).toMatchObject({ messages: 1 })
  expect(messageOf(await acceptor.accept(other.tenantId, input(other), changed)).status).toBe('pending')
})

test('an answer that is known at once is kept in the same transaction', async () => {
  const one = await account()
  const answer = (message: Message) => ({ status: 202, body: { message } })
  const request = { async: true, queue: false, idempotency: key('at once'), answer }
  const message = messageOf(await acceptor.accept(one.tenantId, input(one), request))
  expect(await acceptor.accept(one.tenantId, input(one), request)).toEqual({
    answer: { status: 202, body: { message } },
  })

  const many = {
    async: true,
    queue: true,
    idempotency: key('many'),
    answer: (body: object) => ({ status: 200, body }),
  }
  const inputs = [input(one), new PalomarError('invalid_request', 'text.body: required')]
  const accepted = await acceptor.acceptMany(one.tenantId, inputs, many)
  if (!('results' in accepted)) throw new Error('no results')
  const again = await acceptor.acceptMany(one.tenantId, inputs, many)
  expect(again).toEqual({ answer: { status: 200, body: JSON.parse(JSON.stringify(accepted.results)) } })
  expect(await stored(one)).toMatchObject({ messages: 2, jobs: 2 })
})

test('two requests with one key at once: one message', async () => {
  const one = await account()
  const request = { ...sync, idempotency: key('both') }
  const results = await Promise.allSettled(
    Array.from({ length: 6 }, () => acceptor.accept(one.tenantId, input(one), request)),
  )
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'idempotency_in_progress' })
  }
  expect(await stored(one)).toMatchObject({ messages: 1, jobs: 1 })
})

test('a request that was cut off is answered from its message; a key is forgotten after seven days', async () => {
  const one = await account()
  const request = { ...sync, idempotency: key('cut') }
  const first = messageOf(await acceptor.accept(one.tenantId, input(one), request))
  const age = (interval: string) =>
    database.pool.query(`update idempotency_key set created_at = now() - $2::interval where tenant_id = $1`, [
      one.tenantId,
      interval,
    ])
  await age('4 minutes')
  expect(messageOf(await acceptor.accept(one.tenantId, input(one), request))).toEqual(first)
  await age('8 days')
  expect(messageOf(await acceptor.accept(one.tenantId, input(one), request)).id).not.toBe(first.id)
  await age('8 days')
  expect(await purgeKeys(database.pool)).toBe(1)
})

test('a thousand at once: each answered in its place, in the order of the request', async () => {
  const [one, two] = [await account(), await account('reconnecting')]
  await database.pool.query('update account set tenant_id = $1 where id = $2', [one.tenantId, two.accountId])
  const bad = new PalomarError('invalid_request', 'text.body: required')
  const inputs = Array.from({ length: 1_000 }, (_, n) => {
    if (n === 500) return bad
    if (n === 501) return input(one, { to: 'Ada' })
    return input(n % 2 ? one : two, {
      to: `4917000${String(n % 300).padStart(5, '0')}`,
      text: { body: `${n}` },
    })
  })
  const accepted = await acceptor.acceptMany(one.tenantId, inputs, { async: true, queue: false })
  if (!('results' in accepted)) throw new Error('no results')
  const { results } = accepted
  expect(results[500]).toBe(bad)
  expect(results[501]).toMatchObject({ code: 'invalid_recipient' })
  const bodies = results.map((result) => (result instanceof PalomarError ? null : Number(result.text?.body)))
  expect(bodies).toEqual(Array.from({ length: 1_000 }, (_, n) => (n === 500 || n === 501 ? null : n)))
  const { rows } = await database.pool.query(
    `select m.content->'text'->>'body' as body from lane_job j join message m on m.id = (j.payload->>'message_id')::uuid
     where j.key = $1 order by j.id`,
    [`out:${one.accountId}`],
  )
  expect(rows.map(({ body }) => Number(body))).toEqual(bodies.filter((n) => n !== null && n % 2 === 1))
})

test('property of locks: bulks over the same people in opposite orders all get through', async () => {
  const [one, two] = [await account(), await account()]
  await database.pool.query('update account set tenant_id = $1 where id = $2', [one.tenantId, two.accountId])
  const people = Array.from({ length: 40 }, (_, n) => `49170000${String(n).padStart(4, '0')}`)
  const inputs = people.flatMap((to) => [input(one, { to }), input(two, { to })])
  const options = { async: true, queue: false }
  const bulks = Array.from({ length: 6 }, (_, n) => (n % 2 ? inputs : [...inputs].reverse()))
  await Promise.all(bulks.map((bulk) => acceptor.acceptMany(one.tenantId, bulk, options)))
  expect(await stored(one)).toEqual({ messages: 240, conversations: 40, jobs: 240 })
})
