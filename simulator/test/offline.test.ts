import { afterEach, describe, expect, test } from 'vitest'
import { Town } from './town.ts'

const PATIENCE = { timeout: 10_000 }

let town: Town
afterEach(() => town.close())

describe.each(['pn', 'lid'] as const)('addressing by %s', (addressing) => {
  test('what is written while a client is away waits for it', async () => {
    town = await Town.found({ addressing })
    const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
    await ana.client.sendText(bob.chat, 'before')
    await bob.client.until('before', () => bob.client.texts().includes('before'))
    town.simulator.drop({ jid: bob.jid })
    await bob.client.until('close', () => bob.client.state === 'close')
    const texts = Array.from({ length: 30 }, (_, i) => `away ${i}`)
    const ids: string[] = []
    for (const text of texts) ids.push(await ana.client.sendText(bob.chat, text))
    await ana.client.until('acks', () => ids.every((id) => ana.client.acks.some((ack) => ack.id === id)))
    expect(ids.map((id) => ana.client.statusOf(id))).not.toContain(3)

    bob.client.connect()
    await bob.client.open()
    await bob.client.until('all', () => texts.every((text) => bob.client.texts().includes(text)))
    expect(bob.client.texts()).toEqual(['before', ...texts])
    await ana.client.until('delivered', () => ids.every((id) => ana.client.statusOf(id) === 3))
    await expect
      .poll(() => town.simulator.counters().devices.map((device) => device.offline_queue), PATIENCE)
      .toEqual([0, 0])
  })
})

test('what went over a socket unconfirmed comes again', async () => {
  town = await Town.found()
  const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
  town.simulator.drop({ jid: bob.jid, how: 'half_open' })
  const id = await ana.client.sendText(bob.chat, 'swallowed')
  await ana.client.until('ack', () => ana.client.acks.some((ack) => ack.id === id))
  expect(bob.client.texts()).toEqual([])
  bob.client.end()
  bob.client.connect()
  await bob.client.until('text', () => bob.client.texts().includes('swallowed'))
  await ana.client.until('delivered', () => ana.client.statusOf(id) === 3)
})

test('a receipt waits for its sender, too', async () => {
  town = await Town.found()
  const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
  town.simulator.drop({ jid: bob.jid, how: 'close' })
  await bob.client.until('close', () => bob.client.state === 'close')
  const id = await ana.client.sendText(bob.chat, 'hello')
  await ana.client.until('ack', () => ana.client.acks.some((ack) => ack.id === id))
  town.simulator.drop({ jid: ana.jid, how: 'mid_frame' })
  await ana.client.until('close', () => ana.client.state === 'close')
  bob.client.connect()
  await bob.client.until('text', () => bob.client.texts().includes('hello'))
  ana.client.connect()
  await ana.client.until('delivered', () => ana.client.statusOf(id) === 3)
})

test('reads reach the sender', async () => {
  town = await Town.found()
  const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
  const id = await ana.client.sendText(bob.chat, 'hello')
  const { key } = await bob.client.until('text', () => bob.client.messages.find((each) => each.key.id === id))
  await bob.client.sock.readMessages([key])
  await ana.client.until('read', () => ana.client.statusOf(id) === 4)
  expect(town.simulator.counters().receipts).toMatchObject({ delivered: 1, read: 1 })
})

test('a reader that is not available has the message all the same', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const bob = await town.resident('Bob', undefined, { markOnlineOnConnect: false })
  const id = await ana.client.sendText(bob.chat, 'hello')
  await ana.client.until('delivered', () => ana.client.statusOf(id) === 3)
  expect(town.simulator.counters().receipts).toMatchObject({ inactive: 1 })
})

test('an unreadable message is asked for again, and resent', async () => {
  town = await Town.found()
  const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
  await ana.client.sendText(bob.chat, 'first')
  await bob.client.until('first', () => bob.client.texts().includes('first'))
  const anaAddress = `${ana.lid.replace(/:.*/, '')}_1.1`
  await bob.client.auth.keys.set({ session: { [anaAddress]: null } })
  await ana.client.sendText(bob.chat, 'second')
  await bob.client.until('second', () => bob.client.texts().includes('second'))
  expect(town.simulator.counters()).toMatchObject({ retries: 1, receipts: { retry: 1 }, repeats: 0 })
})
