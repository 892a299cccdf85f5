import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession } from '../../test/session-fixture.ts'
import { createFanOut } from '../events/fan-out.ts'
import { createLogger } from '../logger.ts'
import { createAcceptor } from './accept-message.ts'
import { messageInput } from './message-input.ts'
import { readMessage } from './message-queries.ts'
import { createSendAndWait } from './send-and-wait.ts'
import { createEndWaiter } from './wait-for-end.ts'

const database = await createTestDatabase()
const fanOut = createFanOut(createLogger('error', true))
const waiter = createEndWaiter({ db: database.pool, fanOut })
const one = await createSession(database, { state: 'active' })
const input = messageInput.parse({
  ...{ account_id: one.accountId, to: '491700000001', type: 'text', text: { body: 'hi' } },
})
const options = { async: false, queue: false }

/** sends what waits, and tells of it */
async function sendAll(): Promise<void> {
  const { rows } = await database.pool.query<{ id: string }>(
    `update message set status = 'sent', sent_at = now() where account_id = $1 and status = 'pending' returning id`,
    [one.accountId],
  )
  for (const { id } of rows) {
    const message = await readMessage(database.pool, one.tenantId, id)
    const about = {
      tenant_id: one.tenantId,
      account_id: one.accountId,
      occurred_at: new Date().toISOString(),
    }
    fanOut.publish([{ id: '1', type: 'message.sent', data: { message }, ...about } as never])
  }
}

function sender(waitMs: number, wake: () => void) {
  const acceptor = createAcceptor({ database, wake, abandonedAfterMs: 0 })
  return createSendAndWait({ db: database.pool, acceptor, waiter, waitMs })
}

test('an end that is told before the accept has returned is not missed', async () => {
  const acceptor = createAcceptor({ database, wake: () => undefined })
  const send = createSendAndWait({
    ...{ db: database.pool, waiter, waitMs: 60_000 },
    acceptor: {
      ...acceptor,
      async accept(...request) {
        const accepted = await acceptor.accept(...request)
        await sendAll()
        return accepted
      },
    },
  })
  expect(await send(one.tenantId, input, options)).toMatchObject({ message: { status: 'sent' } })
})

test('an end that comes later is waited for', async () => {
  let ended: Promise<void> | undefined
  const send = sender(60_000, () => {
    ended = sendAll()
  })
  expect(await send(one.tenantId, input, options)).toMatchObject({ message: { status: 'sent' } })
  await ended
})

test('time is up, the client has gone, or we shut down: the message as it is', async () => {
  const pending = { message: { status: 'pending' } }
  expect(await sender(1, () => undefined)(one.tenantId, input, options)).toMatchObject(pending)
  const send = sender(60_000, () => undefined)
  expect(await send(one.tenantId, input, options, AbortSignal.abort())).toMatchObject(pending)
  const closing = createEndWaiter({ db: database.pool, fanOut })
  const acceptor = createAcceptor({ database, wake: () => setImmediate(() => closing.close()) })
  const last = createSendAndWait({ ...{ db: database.pool, acceptor, waitMs: 60_000 }, waiter: closing })
  expect(await last(one.tenantId, input, options)).toMatchObject(pending)
})

test('what a request that was cut off has made is waited for, too', async () => {
  const requestHash = createHash('sha256').update('body').digest()
  const request = { ...options, idempotency: { key: 'cut', requestHash } }
  const first = await sender(1, () => undefined)(one.tenantId, input, request)
  await sendAll()
  const again = await sender(60_000, () => undefined)(one.tenantId, input, request)
  expect(again).toMatchObject({
    message: { status: 'sent', id: (first as { message: { id: string } }).message.id },
  })
})
