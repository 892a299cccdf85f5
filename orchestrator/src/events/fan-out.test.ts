/** One contract over the in-process fan-out and the one over Redis; then what only Redis can do. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type RedisServer, redisInstalled, redisServer } from '../../test/redis-server.ts'
import type { Logger } from '../logger.ts'
import { createFanOut, type FanOut } from './fan-out.ts'
import { createRedisFanOut, type RedisFanOut } from './redis-fan-out.ts'
import type { StoredEvent } from './types.ts'

const said: string[] = []
const note = (level: string) => (message: unknown) => {
  said.push(`${level}: ${message}`)
  return logger
}
const logger = {
  error: note('error'),
  warn: note('warn'),
  info: note('info'),
  debug: note('debug'),
} as unknown as Logger

let redis: RedisServer
const open: FanOut[] = []
const withRedis = redisInstalled()

beforeAll(async () => {
  redis = await redisServer()
  if (withRedis) await redis.start()
})
afterAll(() => redis.stop())
afterEach(async () => {
  await Promise.all(open.splice(0).map((fanOut) => fanOut.close()))
  said.length = 0
})

function keep<F extends FanOut>(fanOut: F): F {
  open.push(fanOut)
  return fanOut
}

async function replica(): Promise<RedisFanOut> {
  const fanOut = keep(createRedisFanOut(redis.url, 'test', logger))
  await fanOut.ready()
  return fanOut
}

const event = (id: number): StoredEvent => ({
  id: `${id}`,
  type: 'message.received',
  tenant_id: 't',
  account_id: 'a',
  created_at: '2026-01-01T00:00:00.000Z',
  data: { n: id },
})

/** collects what a fan-out tells; `until(n)` resolves once n events have come */
function listen(fanOut: FanOut) {
  const events: StoredEvent[] = []
  const waiting: { n: number; resolve: () => void }[] = []
  const end = fanOut.subscribe((more) => {
    events.push(...more)
    for (const { n, resolve } of waiting) if (events.length >= n) resolve()
  })
  const until = (n: number) =>
    events.length >= n ? Promise.resolve() : new Promise<void>((resolve) => void waiting.push({ n, resolve }))
  return { events, end, until }
}

const kinds: [string, boolean, () => Promise<FanOut>][] = [
  ['in process', true, async () => keep(createFanOut(logger))],
  ['over Redis', withRedis, replica],
]

for (const [name, possible, create] of kinds) {
  // Skipped only on a machine without redis-server; CI installs it.
  describe.runIf(possible)(name, () => {
    test('tells every listener every event once, in order, at once', async () => {
      const fanOut = await create()
      const [one, two] = [listen(fanOut), listen(fanOut)]
      fanOut.publish([event(1), event(2)])
      fanOut.publish([event(3)])
      expect(one.events).toEqual([event(1), event(2), event(3)])
      expect(two.events).toEqual(one.events)
    })

    test('an ended subscription hears nothing more, the others do', async () => {
      const fanOut = await create()
      const [one, two] = [listen(fanOut), listen(fanOut)]
      one.end()
      one.end()
      fanOut.publish([event(1)])
      expect([one.events.length, two.events.length]).toEqual([0, 1])
    })

    test('a listener that throws is logged and harms no other', async () => {
      const fanOut = await create()
      fanOut.subscribe(() => {
        throw new Error('mine')
      })
      const { events } = listen(fanOut)
      fanOut.publish([event(1)])
      expect(events).toHaveLength(1)
      expect(said).toEqual(['error: an event listener failed'])
    })

    test('nobody is told after close, nor of nothing', async () => {
      const fanOut = await create()
      let calls = 0
      fanOut.subscribe(() => void calls++)
      fanOut.publish([])
      await fanOut.close()
      fanOut.publish([event(1)])
      expect(calls).toBe(0)
    })
  })
}

describe.runIf(withRedis)('replicas over Redis', () => {
  test('each hears what the others publish, once and whole', async () => {
    const [one, two, three] = [await replica(), await replica(), await replica()]
    const heard = [one, two, three].map(listen)
    one.publish([event(1), event(2)])
    await Promise.all(heard.map(({ until }) => until(2)))
    two.publish([event(3)])
    await Promise.all(heard.map(({ until }) => until(3)))
    for (const { events } of heard) expect(events).toEqual([event(1), event(2), event(3)])
  })

  test('another installation on the same Redis hears nothing', async () => {
    const ours = await replica()
    const theirs = keep(createRedisFanOut(redis.url, 'other', logger))
    await theirs.ready()
    const [heard, neighbour] = [listen(theirs), await replica()]
    const { until } = listen(neighbour)
    ours.publish([event(1)])
    await until(1) // by now Redis has handed it to everyone it was for
    expect(heard.events).toEqual([])
  })

  test('while Redis is away local delivery goes on, said once; then the replicas hear each other again', async () => {
    const own = await redisServer()
    await own.start()
    try {
      const [one, two] = [
        keep(createRedisFanOut(own.url, 'test', logger)),
        keep(createRedisFanOut(own.url, 'test', logger)),
      ]
      await Promise.all([one.ready(), two.ready()])
      const [here, there] = [listen(one), listen(two)]
      await own.stop()
      one.publish([event(1)])
      one.publish([event(2)])
      expect(here.events).toEqual([event(1), event(2)])
      await own.start()
      await Promise.all([one.ready(), two.ready()])
      one.publish([event(3)])
      await there.until(1)
      expect(there.events).toEqual([event(3)])
      expect(said.filter((line) => line.includes('away')).length).toBeLessThanOrEqual(2)
      expect(said.filter((line) => line.includes('back')).length).toBeGreaterThanOrEqual(1)
    } finally {
      await own.stop()
    }
  })
})
