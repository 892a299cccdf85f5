/** Sending where all goes well, and where it has to wait. */
import { v7 as uuidv7 } from 'uuid'
import { afterAll, expect, test } from 'vitest'
import { acknowledged, inTurn } from '../../test/contract-node.ts'
import { setSendingStage } from '../../test/sending-stage.ts'

const stage = await setSendingStage()
const { database, events, ends, jobsOf, account, accept, acceptAll, report, end, typesOf, paused } = stage
afterAll(stage.strike)

test('a message goes to the node with the id that was chosen for it, and is sent when the server says so', async () => {
  const one = await account()
  const message = await accept(one, 'hello', { metadata: { order: 7 } })
  expect(message).toMatchObject({ status: 'pending', wa_id: expect.stringMatching(/^3EB0[0-9A-F]{18}$/) })
  expect(await end(one, message)).toMatchObject({
    id: message.id,
    status: 'sent',
    sent_at: expect.any(String),
    metadata: { order: 7 },
  })
  expect(one.node.commands).toMatchObject([
    { id: message.wa_id, to: { pn: '491700000001' }, resolve: true, content: { text: { body: 'hello' } } },
  ])
  expect(typesOf(message)).toEqual(['message.sent'])
})

test('one account’s messages leave in order, one at a time; of those that wait, the more urgent first', async () => {
  const one = await account()
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  let under = 0
  one.node.answer = async () => {
    expect(++under).toBe(1)
    await held
    under--
    return acknowledged()
  }
  const messages = [await accept(one, '0')]
  await one.node.asked(1)
  for (let n = 1; n < 5; n++) messages.push(await accept(one, `${n}`))
  messages.push(await accept(one, 'urgent', { priority: 5 }))
  release()
  await Promise.all(messages.map((message) => end(one, message)))
  expect(one.node.commands.map(({ content }) => content.text.body)).toEqual([
    '0',
    'urgent',
    '1',
    '2',
    '3',
    '4',
  ])
})

test('the node is told whether a message goes out alone or among others', async () => {
  const [alone, several] = [await account(), await account()]
  await end(alone, await accept(alone))
  const [first, second] = await acceptAll(several, 'first', 'second')
  if (!first || !second) throw new Error('no messages')
  await Promise.all([first, second].map((each) => end(several, each)))
  const told = [alone, several].map(({ node }) => node.commands.map(({ company }) => company))
  expect(told).toEqual([[false], [true, true]])
})

test('not connected: the lane stands still without counting a try, and goes on when the session is active', async () => {
  const one = await account('reconnecting')
  const message = await accept(one)
  expect(await paused(one)).toBe('the session is reconnecting')
  expect(one.node.commands).toEqual([])
  await report(one, { type: 'state', state: 'active' as const })
  expect((await end(one, message)).status).toBe('sent')
  expect(await jobsOf(one)).toEqual([{ state: 'done', attempts: 1 }])
})

test('the node says that it is not connected just when the session becomes active: nothing is left standing', async () => {
  const one = await account()
  one.node.answer = inTurn({ error: 'not_connected' }, { ok: {} })
  const message = await accept(one)
  expect((await end(one, message)).status).toBe('sent')
  expect(await jobsOf(one)).toEqual([{ state: 'done', attempts: 1 }])
})

test('asynchronous: the end is told with the correlation id, sent or failed', async () => {
  const one = await account()
  one.node.answer = inTurn({ ok: {} }, { error: 'rejected', wa_code: 463 })
  const accepted = await acceptAll(one, 'sent', 'failed')
  for (const message of accepted) await end(one, message)
  const acks = accepted.map(({ correlation_id }) =>
    events.filter(({ type, data }) => type === 'message.ack' && data.correlation_id === correlation_id),
  )
  expect(acks).toMatchObject([
    [{ data: { message_id: accepted[0]?.id, status: 'sent', error: null } }],
    [{ data: { message_id: accepted[1]?.id, status: 'failed', error: { code: 'reachout_timelock' } } }],
  ])
})

test('the look-up finds another way to write the number: one conversation, the recipient’s own', async () => {
  const one = await account()
  const recipient = { jid: '90000000000001@lid', pn: '551187654321', lid: '90000000000001' }
  one.node.answer = () => ({ ok: { recipient } })
  const known = await accept(one, 'known', { to: '551187654321' })
  await end(one, known)
  const typed = await end(one, await accept(one, 'typed', { to: '5511987654321' }))
  expect(one.node.commands.map(({ resolve }) => resolve)).toEqual([true, true])
  const conversations = await database.prisma.conversation.findMany({ where: { accountId: one.accountId } })
  expect(conversations).toMatchObject([
    { pn: '551187654321', lid: '90000000000001', resolvedAt: expect.any(Date) },
  ])
  expect(typed.status).toBe('sent')
  await end(one, await accept(one, 'again', { to: '551187654321' }))
  expect(one.node.commands.at(-1)).toMatchObject({ resolve: false, to: { lid: '90000000000001' } })
})

test('an answer to a message carries it as it was', async () => {
  const one = await account()
  const chat = { jid: '491700000001@s.whatsapp.net', pn: '491700000001' }
  const received = {
    ...{
      type: 'message' as const,
      origin: 'live' as const,
      id: 'THEIRS',
      from_me: false,
      chat,
      sender: chat,
    },
    ...{
      timestamp: 1_700_000_000,
      content: { type: 'text' as const, text: { body: 'q' } },
      raw: 'cXVvdGVk',
      settles: [],
    },
  }
  await report(one, received)
  await end(one, await accept(one, 'a', { context: { message_id: 'THEIRS' } }))
  expect(one.node.commands.at(-1)?.context).toEqual({
    message_id: 'THEIRS',
    from_me: false,
    participant: chat.jid,
    raw: 'cXVvdGVk',
  })
})

test('a message that is due later waits for its time and holds up no other', async () => {
  const one = await account()
  const later = await accept(one, 'later', { send_at: new Date(Date.now() + 400).toISOString() })
  const now = await accept(one, 'now')
  await end(one, now)
  expect((await end(one, later)).status).toBe('sent')
  expect(one.node.commands.map(({ content }) => content.text.body)).toEqual(['now', 'later'])
  expect(Date.parse(later.send_at ?? '')).toBeLessThanOrEqual(Date.now())
})

test('waiting ends with the state it is in when the time is up', async () => {
  const one = await account('reconnecting')
  const message = await accept(one)
  expect(await ends.waitForEnd(one.tenantId, message.id, 20)).toMatchObject({ status: 'pending' })
  await expect(ends.waitForEnd(uuidv7(), message.id, 10_000)).rejects.toMatchObject({
    code: 'message_not_found',
  })
})

test('accounts whose nodes hang hold up no other', async () => {
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const hanging = await Promise.all(Array.from({ length: 20 }, () => account()))
  for (const { node } of hanging) node.answer = () => held.then(acknowledged)
  const theirs = await Promise.all(hanging.map((each) => accept(each)))
  const one = await account()
  expect((await end(one, await accept(one))).status).toBe('sent')
  // Nobody's try had to end before.
  const jobs = await Promise.all(hanging.map(jobsOf))
  expect(jobs.flat().map(({ attempts }) => attempts)).toEqual(hanging.map(() => 0))
  release()
  const ends = await Promise.all(hanging.map((each, n) => end(each, theirs[n] as (typeof theirs)[number])))
  expect(ends.map(({ status }) => status)).toEqual(hanging.map(() => 'sent'))
})
