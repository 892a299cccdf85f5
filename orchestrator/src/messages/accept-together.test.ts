import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/database.ts'
import { createSession, type SessionFixture } from '../../test/session-fixture.ts'
import { createAcceptor } from './accept-message.ts'
import { type MessageInput, messageInput } from './message-input.ts'

const database = await createTestDatabase()
const acceptor = createAcceptor({ database, wake: () => undefined })
const account = () => createSession(database, { state: 'active' })

function accept(tenantId: string, { accountId }: SessionFixture, more: Partial<MessageInput> = {}) {
  const said = { to: '491700000001', type: 'text', text: { body: 'hi' }, ...more }
  const input = messageInput.parse({ account_id: accountId, ...said })
  return acceptor.accept(tenantId, input, { async: false, queue: false })
}

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

test('requests of two tenants share a transaction, and neither reaches the other’s account', async () => {
  const [one, other] = [await account(), await account()]
  const before = await xids(one, other)
  const results = await Promise.allSettled([
    accept(one.tenantId, one),
    accept(other.tenantId, one),
    accept(one.tenantId, other),
    accept(other.tenantId, other),
  ])
  expect(results.map((result) => (result.status === 'rejected' ? result.reason.code : 'accepted'))).toEqual([
    ...['accepted', 'account_not_found', 'account_not_found', 'accepted'],
  ])
  expect((await xids(one, other)).size - before.size).toBe(1)
  for (const each of [one, other]) {
    expect(await stored(each)).toEqual({ messages: 1, conversations: 1, jobs: 1 })
    const { rows } = await database.pool.query(
      `select m.tenant_id as message, c.tenant_id as conversation, l.tenant_id as lane from message m
       join conversation c on c.id = m.conversation_id join lane l on l.key = 'out:' || m.account_id
       where m.account_id = $1`,
      [each.accountId],
    )
    const { tenantId } = each
    expect(rows).toEqual([{ message: tenantId, conversation: tenantId, lane: tenantId }])
  }
})

/** the transactions that stored these accounts' messages */
async function xids(...accounts: SessionFixture[]): Promise<Set<string>> {
  const { rows } = await database.pool.query(
    'select distinct xmin::text as xid from message where account_id = any($1::uuid[])',
    [accounts.map(({ accountId }) => accountId)],
  )
  return new Set(rows.map(({ xid }) => xid))
}

test('one that Postgres refuses fails alone, and one that has to wait holds up no other', async () => {
  const [one, held] = [await account(), await account()]
  await accept(held.tenantId, held)
  await database.pool.query(
    `alter table message add constraint no_poison check (content->'text'->>'body' <> 'poison') not valid`,
  )
  try {
    let waiting: Promise<unknown> | undefined
    await database.transaction(async (holder) => {
      await holder.query('select 1 from lane where key = $1 for update', [`out:${held.accountId}`])
      waiting = accept(held.tenantId, held)
      const poison = accept(one.tenantId, one, { text: { body: 'poison' } })
      const fine = accept(one.tenantId, one)
      await expect(poison).rejects.toMatchObject({ code: '23514' })
      expect(await fine).toMatchObject({ message: { status: 'pending' } })
      // and nobody who comes later
      await Promise.all(Array.from({ length: 3 }, () => accept(one.tenantId, one)))
    })
    await waiting
  } finally {
    await database.pool.query('alter table message drop constraint no_poison')
  }
  expect(await stored(one)).toEqual({ messages: 4, conversations: 1, jobs: 4 })
  expect(await stored(held)).toEqual({ messages: 2, conversations: 1, jobs: 2 })
})

test('what comes together keeps its order in each lane', async () => {
  const both = [await account(), await account()] as const
  const bodies = Array.from({ length: 60 }, (_, n) => `${n}`)
  await Promise.all(
    bodies.map((body, n) => {
      const one = both[n % 3 === 0 ? 0 : 1]
      return accept(one.tenantId, one, { to: `4917000000${n % 7}1`, text: { body } })
    }),
  )
  for (const [i, one] of both.entries()) {
    const own = bodies.filter((_, n) => (n % 3 === 0) === (i === 0))
    expect(await bodiesInLane(one)).toEqual(own)
  }
})

async function bodiesInLane({ accountId }: SessionFixture): Promise<string[]> {
  const { rows } = await database.pool.query(
    `select m.content->'text'->>'body' as body from lane_job j join message m on m.id = (j.payload->>'message_id')::uuid
     where j.key = $1 order by j.id`,
    [`out:${accountId}`],
  )
  return rows.map(({ body }) => body)
}
