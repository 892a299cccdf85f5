/** What becomes of a message when its tries fail. */
import { afterAll, expect, test } from 'vitest'
import { type Answer, acknowledged, inTurn } from '../../test/contract-node.ts'
import { setSendingStage } from '../../test/sending-stage.ts'

const stage = await setSendingStage()
const { account, accept, report, read, end, typesOf, paused } = stage
afterAll(stage.strike)

test.each<[string, Answer]>([
  ['the server’s ack is missing', { error: 'ack_timeout' }],
  ['the node dies in the midst of it', { hangUp: true }],
  ['the node fails', { error: 'internal' }],
  ['WhatsApp asks to slow down', { error: 'throttled' }],
])('%s: tried again under the same id, and never called failed meanwhile', async (_name, failure) => {
  const one = await account()
  one.node.answer = inTurn(failure, { ok: {} })
  const message = await accept(one)
  await one.node.asked(1)
  expect((await read(one, message)).status).toBe('pending')
  expect((await end(one, message)).status).toBe('sent')
  expect(one.node.commands.map(({ id }) => id)).toEqual([message.wa_id, message.wa_id])
  expect(typesOf(message)).toEqual(['message.sent'])
})

test('the second try sends the protobuf of the first', async () => {
  const one = await account()
  one.node.answer = async ({ id }) => {
    if (one.node.commands.length > 1) return acknowledged()
    await report(one, { type: 'prepared', id, raw: 'cHJvdG8=' })
    return { error: 'ack_timeout' }
  }
  await end(one, await accept(one))
  expect(one.node.commands.map(({ raw }) => raw)).toEqual([undefined, 'cHJvdG8='])
})

test.each([
  ['rejected', 463, 'reachout_timelock'],
  ['rejected', 479, 'invalid_message'],
  ['rejected', undefined, 'rejected'],
  ['recipient_not_found', undefined, 'recipient_not_found'],
] as const)(
  '%s %s fails the message for good as %s, and the next one goes on',
  async (error, wa_code, code) => {
    const one = await account()
    one.node.answer = inTurn({ error, wa_code }, { ok: {} })
    const [first, second] = [await accept(one, '1'), await accept(one, '2')]
    expect(await end(one, first)).toMatchObject({
      status: 'failed',
      error: { code, permanent: true },
      failed_at: expect.any(String),
    })
    expect((await end(one, second)).status).toBe('sent')
    expect(one.node.commands).toHaveLength(2)
    expect(typesOf(first)).toEqual(['message.failed'])
  },
)

const prepared = (id: string) => ({ type: 'prepared' as const, id, raw: 'cHJvdG8=' })
const refusal = (id: string) => ({ type: 'ack' as const, id, timestamp: 1_700_000_000, error: 463 })

test.each([
  ['the node’s answer', false],
  ['the node’s commit', true],
])(
  'refused after a try whose end is unknown, as told by %s: failed, until a receipt comes',
  async (_by, commits) => {
    const one = await account()
    one.node.answer = async ({ id }) => {
      if (one.node.commands.length === 1) {
        await report(one, prepared(id))
        return { error: 'ack_timeout' }
      }
      const { status, error } = await read(one, message)
      expect({ status, error }).toEqual({ status: 'pending', error: null })
      if (commits) await report(one, prepared(id), refusal(id))
      return { error: 'rejected', wa_code: 463 }
    }
    const message = await accept(one)
    expect(await end(one, message)).toMatchObject({
      status: 'failed',
      error: { code: 'reachout_timelock', permanent: true, outcome_unknown: true },
    })
    const chat = { jid: '491700000001@s.whatsapp.net', pn: '491700000001' }
    const receipt = { type: 'receipt' as const, ids: [message.wa_id], status: 'delivered' as const, chat }
    await report(one, { ...receipt, timestamp: 1_700_000_009 })
    expect(await read(one, message)).toMatchObject({
      status: 'delivered',
      error: null,
      failed_at: null,
    })
    expect(typesOf(message)).toEqual(['message.failed', 'message.sent', 'message.delivered'])
  },
)

test('a refusal is final where no earlier try let bytes out, or there was none', async () => {
  const one = await account()
  one.node.answer = inTurn({ error: 'internal' }, { error: 'rejected', wa_code: 463 })
  const early = await end(one, await accept(one))
  one.node.answer = async ({ id }) => {
    await report(one, prepared(id))
    await report(one, refusal(id))
    return { error: 'rejected', wa_code: 463 }
  }
  const first = await end(one, await accept(one))
  for (const { status, error } of [early, first]) {
    expect(status).toBe('failed')
    expect(error).not.toHaveProperty('outcome_unknown')
  }
})

test('an account that keeps failing rests, says why, and keeps what waits', async () => {
  const one = await account()
  one.node.answer = () => ({ error: 'rejected', wa_code: 463 })
  const messages = []
  for (let n = 0; n < 5; n++) messages.push(await accept(one, `${n}`))
  expect(await paused(one)).toMatch(/keep failing: .*new people/)
  const statuses = messages.map(async (message) => (await read(one, message)).status)
  expect(await Promise.all(statuses)).toEqual(['failed', 'failed', 'failed', 'pending', 'pending'])
})
