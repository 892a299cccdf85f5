import { v7 as uuidv7 } from 'uuid'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createFanOut } from '../events/fan-out.ts'
import type { StoredEvent } from '../events/types.ts'
import { createClaims } from '../lanes/claims.ts'
import { createLogger } from '../logger.ts'
import { createAcceptor } from './accept-message.ts'
import { deadLetterPage, listDeadLetters, redriveDeadLetter } from './dead-letters.ts'
import { createMessageChanges } from './message-changes.ts'
import { messageInput } from './message-input.ts'
import { readMessage } from './message-queries.ts'
import type { Message } from './message-schemas.ts'
import { sendError } from './send-errors.ts'
import type { MessageError } from './status.ts'
import { writeFacts } from './status-writer.ts'
import { createEndWaiter } from './wait-for-end.ts'

const { claim, finish } = createClaims()

const database = await createTestDatabase()
const wake = () => undefined
const acceptor = createAcceptor({ database, wake })
const published: StoredEvent[] = []
const publish = (events: StoredEvent[]) => void published.push(...events)
const changes = createMessageChanges({ database, wake, publish })

async function accept({ tenantId, accountId }: SessionFixture, body = 'hi', async = false) {
  const to = '491700000001'
  const input = messageInput.parse({ account_id: accountId, to, type: 'text', text: { body } })
  const accepted = await acceptor.accept(tenantId, input, { async, queue: true })
  if (!('message' in accepted)) throw new Error('no message')
  return accepted.message
}
const fail = ({ accountId }: SessionFixture, waId: string, error: MessageError) =>
  database.transaction((tx) =>
    writeFacts(tx, accountId, [{ waId, change: { to: 'failed', at: new Date(), error } }]),
  )
/** the account's lane in the hands of a worker */
async function take({ accountId }: SessionFixture) {
  const claims = await claim(database.pool, 'out', 100, 60_000)
  const own = claims.find(({ job }) => job.key === `out:${accountId}`)
  if (!own) throw new Error('nothing to claim')
  return own
}
const how = { retryMs: 0, want: 0 as const, leaseMs: 60_000 }

test('a message that waits can be cancelled, once, and its job goes with it', async () => {
  const one = await createSession(database)
  const message = await accept(one)
  expect(await changes.cancel(one.tenantId, message.id)).toMatchObject({
    id: message.id,
    status: 'cancelled',
  })
  await expect(changes.cancel(one.tenantId, message.id)).rejects.toMatchObject({
    code: 'message_not_cancellable',
  })
  const { rows } = await database.pool.query('select state from lane_job where key = $1', [
    `out:${one.accountId}`,
  ])
  expect(rows).toEqual([{ state: 'cancelled' }])
  await expect(changes.cancel(uuidv7(), message.id)).rejects.toMatchObject({ code: 'message_not_found' })
})

test('a cancellation is told, once it is durable; of an asynchronous message by its correlation id too', async () => {
  const one = await createSession(database)
  const [sync, async] = [await accept(one), await accept(one, 'hi', true)]
  for (const { id } of [sync, async]) {
    const message = await changes.cancel(one.tenantId, id)
    expect(published.find(({ data }) => (data.message as Message | undefined)?.id === id)).toMatchObject({
      type: 'message.cancelled',
      data: { message },
    })
  }
  const { correlation_id, id, wa_id } = async
  expect(published.filter(({ data }) => data.correlation_id)).toMatchObject([
    {
      type: 'message.ack',
      data: { correlation_id, message_id: id, wa_id, status: 'cancelled', error: null },
    },
  ])
  const { rows } = await database.pool.query('select id, type from event where account_id = $1 order by id', [
    one.accountId,
  ])
  const own = published.filter(({ account_id }) => account_id === one.accountId)
  expect(rows).toEqual(own.map((event) => ({ id: event.id, type: event.type })))
  expect(rows).toHaveLength(3)
})

test('who waits for the end of a send is told that it was cancelled', async () => {
  const one = await createSession(database)
  const fanOut = createFanOut(createLogger('error', true))
  const ends = createEndWaiter({ db: database.pool, fanOut })
  const { id } = await accept(one)
  const end = ends.waitForEnd(one.tenantId, id, 60_000)
  await createMessageChanges({ database, wake, publish: fanOut.publish }).cancel(one.tenantId, id)
  expect(await end).toMatchObject({ id, status: 'cancelled' })
  ends.close()
})

test('a message that is just being sent cannot be cancelled; the one behind it can', async () => {
  const one = await createSession(database)
  const [first, second] = [await accept(one), await accept(one)]
  await take(one)
  await expect(changes.cancel(one.tenantId, first.id)).rejects.toMatchObject({
    code: 'message_not_cancellable',
  })
  expect(await changes.cancel(one.tenantId, second.id)).toMatchObject({ status: 'cancelled' })
  expect((await readMessage(database.pool, one.tenantId, first.id)).status).toBe('pending')
})

test('only a failed message is sent again: under its id, or a new one when WhatsApp had refused it', async () => {
  const one = await createSession(database)
  const [refused, unknown] = [await accept(one), await accept(one)]
  await expect(changes.retry(one.tenantId, refused.id)).rejects.toMatchObject({
    code: 'message_not_retryable',
  })
  await database.pool.query(`update message set raw = 'x' where account_id = $1`, [one.accountId])
  await fail(one, refused.wa_id, sendError('reachout_timelock', 463))
  await fail(one, unknown.wa_id, sendError('outcome_unknown'))
  const again = await changes.retry(one.tenantId, refused.id)
  expect(again).toMatchObject({ status: 'pending', error: null, failed_at: null })
  expect(again.wa_id).not.toBe(refused.wa_id)
  expect((await changes.retry(one.tenantId, unknown.id)).wa_id).toBe(unknown.wa_id)
  // Refused at a second try, it may have been taken at the first.
  await fail(one, unknown.wa_id, { ...sendError('reachout_timelock', 463), outcome_unknown: true })
  expect((await changes.retry(one.tenantId, unknown.id)).wa_id).toBe(unknown.wa_id)
  const rows = await database.prisma.message.findMany({
    where: { accountId: one.accountId },
    orderBy: { id: 'asc' },
  })
  expect(rows.map(({ waId, raw }) => [waId, raw === null])).toEqual([
    [again.wa_id, true],
    [unknown.wa_id, false],
  ])
  expect(await readMessage(database.pool, one.tenantId, refused.id)).toEqual(again)
})

test('dead letters: listed with the reason, and tried again at their old place', async () => {
  const one = await createSession(database)
  const dead: { id: string; wa_id: string }[] = []
  for (let n = 0; n < 3; n++) dead.push(await accept(one, `${n}`))
  for (const { wa_id } of dead) {
    await finish(database.pool, await take(one), { result: 'dead', error: 'no answer' }, how)
    await fail(one, wa_id, sendError('outcome_unknown'))
  }
  const later = await accept(one, 'later')
  const first = await listDeadLetters(database.pool, one.tenantId, { limit: 2 })
  expect(deadLetterPage.safeParse(first).error).toBeUndefined()
  const rest = await listDeadLetters(database.pool, one.tenantId, {
    limit: 2,
    cursor: first.next_cursor ?? '',
  })
  const letters = [...first.data, ...rest.data]
  expect(letters).toMatchObject(
    [2, 1, 0].map((n) => ({ reason: 'no answer', attempts: 1, message: { id: dead[n]?.id } })),
  )
  expect(rest.next_cursor).toBeNull()

  const [, middle] = letters
  const redrive = (tenantId: string, id = middle?.id ?? '') =>
    redriveDeadLetter(database.pool, changes, tenantId, id)
  await expect(redrive(uuidv7())).rejects.toMatchObject({ code: 'not_found' })
  await expect(redrive(one.tenantId, 'x')).rejects.toMatchObject({ code: 'not_found' })
  expect(await redrive(one.tenantId)).toMatchObject({ id: dead[1]?.id, status: 'pending' })
  await expect(redrive(one.tenantId)).rejects.toMatchObject({ code: 'not_found' })
  expect((await listDeadLetters(database.pool, one.tenantId, { limit: 9 })).data).toHaveLength(2)
  // A retry of the message is the same thing.
  await changes.retry(one.tenantId, dead[0]?.id ?? '')
  const order: string[] = []
  for (let n = 0; n < 3; n++) {
    const held = await take(one)
    order.push((held.job.payload as { message_id: string }).message_id)
    await finish(database.pool, held, { result: 'done' }, how)
  }
  expect(order).toEqual([dead[0]?.id, dead[1]?.id, later.id])
})
