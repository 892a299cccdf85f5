import { afterEach, expect, test } from 'vitest'
import { createFanOut } from '../events/fan-out.ts'
import type { StoredEvent } from '../events/types.ts'
import { createLogger } from '../logger.ts'
import { createSentNews } from './sent-news.ts'

const fanOut = createFanOut(createLogger('error', true))
const news = createSentNews(fanOut)
const publish = (type: StoredEvent['type'], id: string) =>
  fanOut.publish([
    {
      id: '1',
      type,
      tenant_id: 't',
      account_id: 'a',
      created_at: '',
      data: { message: { id } },
    } as StoredEvent,
  ])
afterEach(() => news.close())

test('tells who listens that the message is sent, also when that came before the question', async () => {
  const [early, late, other] = [news.listen('early'), news.listen('late'), news.listen('other')]
  publish('message.sent', 'early')
  expect(await early.within(60_000)).toBe(true)
  const waiting = late.within(60_000)
  publish('message.delivered', 'late')
  publish('message.sent', 'unknown')
  publish('message.sent', 'late')
  expect(await waiting).toBe(true)
  // Only the news of its own message counts; without any the time runs out.
  expect(await other.within(1)).toBe(false)
})
