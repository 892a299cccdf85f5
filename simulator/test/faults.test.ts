import { afterEach, expect, test } from 'vitest'
import { type Resident, Town } from './town.ts'

let town: Town
afterEach(() => town.close())

const errorOf = ({ client }: Resident, id: string) => client.acks.find((each) => each.id === id)?.error

test('an ack error keeps the message from its reader', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  town.simulator.setFaults({ ack_error: { code: 463, rate: 1 } })
  const id = await ana.client.sendText(carl.jid, 'no')
  await ana.client.until('463', () => errorOf(ana, id) === '463')
  town.simulator.setFaults({})
  await ana.client.sendText(carl.jid, 'yes')
  await ana.client.until('ack', () => ana.client.acks.some((each) => !each.error))
  await expect
    .poll(() => town.simulator.received({ phone: carl.phone }).map((each) => each.text), { timeout: 10_000 })
    .toEqual(['yes'])
})

test('a missing ack does not keep the receipt away', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  town.simulator.setFaults({ missing_ack: 1 })
  const id = await ana.client.sendText(carl.jid, 'hello')
  await ana.client.until('delivered', () => ana.client.statusOf(id) === 3)
  expect(ana.client.acks).toEqual([])
})

test('dropped stanzas come with the next login, repeated ones are shown once', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  town.simulator.setFaults({ drop: 1 })
  await town.simulator.contactSend({ phone: carl.phone, to: ana.phone, text: 'lost {n}', count: 5 })
  town.simulator.setFaults({ repeat: 1 })
  await town.simulator.contactSend({ phone: carl.phone, to: ana.phone, text: 'twice {n}', count: 5 })
  await ana.client.until('twice', () => ana.client.texts().includes('twice 5'))
  expect(ana.client.texts()).toHaveLength(5)
  town.simulator.setFaults({})
  town.simulator.drop({ jid: ana.jid })
  await ana.client.until('close', () => ana.client.state === 'close')
  ana.client.connect()
  await ana.client.until('lost', () => ana.client.texts().length === 10)
  expect(new Set(ana.client.texts()).size).toBe(10)
})

test('latency delays, and only those whom it is meant for', async () => {
  town = await Town.found()
  const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
  const roundTrip = async ({ client }: Resident) => {
    const start = performance.now()
    await client.sock.fetchBlocklist()
    return performance.now() - start
  }
  town.simulator.setFaults({ latency_ms: 300, jitter_ms: 50, only: [ana.phone] })
  expect(await roundTrip(ana)).toBeGreaterThan(290)
  expect(await roundTrip(bob)).toBeLessThan(250)
})

test('the same seed breaks the same stanzas', async () => {
  const trial = async () => {
    const here = await Town.found({ seed: 7 })
    const ana = await here.resident('Ana', '5511900000077')
    const carl = here.simulator.addContact({ phone: '5511900000078' })
    here.simulator.setFaults({ ack_error: { code: 463, rate: 0.5 } })
    const errors: (string | undefined)[] = []
    for (let i = 0; i < 12; i++) {
      const id = await ana.client.sendText(carl.jid, `${i}`)
      await ana.client.until('ack', () => ana.client.acks.some((each) => each.id === id))
      errors.push(errorOf(ana, id))
    }
    await here.close()
    return errors
  }
  const [first, second] = [await trial(), await trial()]
  town = await Town.found()
  expect(new Set(first)).toEqual(new Set([undefined, '463']))
  expect(second).toEqual(first)
})

test.each([
  ['tcp_reset', { tcp_reset: 1 }, [428, 500]],
  ['mid_frame', { mid_frame: 1 }, [428, 500]],
  ['stream_error', { stream_error: { code: 503, rate: 1 } }, [503]],
] as const)('a connection breaks in the middle of traffic: %s', async (_name, settings, codes) => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  town.simulator.setFaults(settings)
  await town.simulator.contactSend({ phone: carl.phone, to: ana.phone, text: 'hello' })
  await ana.client.until('close', () => ana.client.state === 'close')
  expect(codes).toContain(ana.client.closes.at(-1))
  town.simulator.setFaults({})
  ana.client.connect()
  await ana.client.until('hello', () => ana.client.texts().includes('hello'))
})

test('late receipts arrive, in whatever order', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  town.simulator.setFaults({ receipt_delay_ms: 50, receipt_reorder: 0.5 })
  const ids: string[] = []
  for (let i = 0; i < 5; i++) ids.push(await ana.client.sendText(carl.jid, `${i}`))
  await ana.client.until('delivered', () => ids.every((id) => ana.client.statusOf(id) === 3))
})

test('whatever breaks, every message reaches the client in the end', async () => {
  town = await Town.found({ seed: 5 })
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  for (const code of [428, 500, 503]) ana.client.restartOn.add(code)
  town.simulator.setFaults({
    drop: 0.1,
    repeat: 0.1,
    jitter_ms: 3,
    tcp_reset: 0.02,
    mid_frame: 0.02,
    stream_error: { code: 503, rate: 0.02 },
  })
  const { ids } = await town.simulator.contactSend({
    phone: carl.phone,
    to: ana.phone,
    text: '{n}',
    count: 150,
    rate_per_second: 150,
  })
  expect(ana.client.closes.length).toBeGreaterThan(2)
  town.simulator.setFaults({})
  await ana.client.until('open', () => ana.client.state === 'open' && ana.client.caughtUp)
  // what was dropped on the last connection comes with the next
  town.simulator.drop({ jid: ana.jid })
  await expect.poll(() => town.simulator.counters().devices[0]?.offline_queue, { timeout: 15_000 }).toBe(0)
  expect(ids.filter((id) => !ana.client.arrivals.includes(id))).toEqual([])
})
