/** Acks come twice, by the node's answer and by its commits. No end is written here but by them: `commitMs` is for ever. */
import { afterAll, expect, test, vi } from 'vitest'
import { acknowledged } from '../../test/contract-node.ts'
import { setSendingStage } from '../../test/sending-stage.ts'
import type { Message } from './message-schemas.ts'

const stage = await setSendingStage({ commitMs: 60_000 })
const { jobsOf, account, accept, acceptAll, report, end, typesOf } = stage
afterAll(stage.strike)

test('the node’s commit brings the ack while the next message is out: told once, and the job ends by it', async () => {
  const one = await account()
  await end(one, await accept(one, 'resolves the recipient'))
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  one.node.answer = async ({ content }) => {
    if (content.text.body === 'second') await held
    return acknowledged()
  }
  const [first, second] = (await acceptAll(one, 'first', 'second')) as [Message, Message]
  await one.node.asked(3)
  await report(one, { type: 'ack', id: first.wa_id, timestamp: 1_700_000_000 })
  expect(await end(one, first)).toMatchObject({ status: 'sent', sent_at: '2023-11-14T22:13:20.000Z' })
  await vi.waitFor(async () =>
    expect((await jobsOf(one)).map(({ state }) => state)).toEqual(['done', 'done', 'pending']),
  )
  release()
  expect(await end(one, second)).toMatchObject({ status: 'sent' })
  expect(typesOf(first)).toEqual(['message.sent'])
  expect(one.node.commands).toHaveLength(3)
})

test('an ack in a commit and the node’s own answer: told once, whichever comes first', async () => {
  const one = await account()
  one.node.answer = async ({ id }) => {
    await report(one, { type: 'ack', id, timestamp: 1_700_000_000 })
    return acknowledged()
  }
  const [first, second] = [await accept(one), await accept(one)]
  expect(await end(one, first)).toMatchObject({ status: 'sent' })
  await one.node.asked(2)
  one.node.answer = acknowledged
  await end(one, second)
  expect(typesOf(first)).toEqual(['message.sent'])
})
