import { afterEach, describe, expect, test } from 'vitest'
import { type Resident, Town } from './town.ts'

let town: Town
afterEach(() => town.close())

const closed = ({ client }: Resident) => client.until('close', () => client.state === 'close')

test.each([401, 402, 403, 405, 406, 408, 411, 428, 429, 440, 500, 503])(
  'a live client sees %i',
  async (code) => {
    town = await Town.found()
    const ana = await town.resident('Ana')
    town.simulator.closeWith({ jid: ana.jid, code, expire: code === 402 ? 60 : undefined })
    await closed(ana)
    expect(ana.client.closes).toEqual([515, code])
  },
)

test('515 restarts a client, which comes back', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  town.simulator.closeWith({ jid: ana.phone, code: 515 })
  await ana.client.until('second restart', () => ana.client.closes.length === 2)
  await ana.client.open()
  expect(town.simulator.counters().devices).toMatchObject([{ connected: true, connects: 2, disconnects: 1 }])
})

test('logins are refused as often as told', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  town.simulator.refuseLogins({ jid: ana.jid, code: 503, times: 2 })
  town.simulator.drop({ jid: ana.jid })
  await closed(ana)
  for (let i = 0; i < 2; i++) {
    ana.client.connect()
    await closed(ana)
  }
  ana.client.connect()
  await ana.client.open()
  expect(ana.client.closes.slice(-2)).toEqual([503, 503])
})

test.each(['tcp_reset', 'close', 'mid_frame'] as const)(
  'a dropped client (%s) sees a lost connection',
  async (how) => {
    town = await Town.found()
    const ana = await town.resident('Ana')
    town.simulator.drop({ jid: ana.jid, how })
    await closed(ana)
    expect([428, 500]).toContain(ana.client.closes.at(-1))
  },
)

test('a second connection of the same device replaces the first', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const first = ana.client.sock
  ana.client.connect()
  await ana.client.until('440', () => ana.client.closes.includes(440))
  expect(first.ws.isOpen).toBe(false)
  await ana.client.until('open', () => ana.client.sock.ws.isOpen)
})

describe('unlinking', () => {
  test('by the phone, while the client is online', async () => {
    town = await Town.found()
    const ana = await town.resident('Ana')
    town.simulator.unlink({ jid: ana.jid })
    await closed(ana)
    ana.client.connect()
    await closed(ana)
    expect(ana.client.closes).toEqual([515, 401, 401])
  })

  test('by the client itself', async () => {
    town = await Town.found()
    const ana = await town.resident('Ana')
    await ana.client.sock.logout()
    await closed(ana)
    await expect.poll(() => town.simulator.counters().devices, { timeout: 10_000 }).toEqual([])
  })

  test('others stop writing to the lost device', async () => {
    town = await Town.found()
    const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
    const second = await town.resident('Bob', bob.phone)
    await ana.client.sendText(bob.chat, 'both')
    await Promise.all(
      [bob, second].map(({ client }) => client.until('both', () => client.texts().includes('both'))),
    )
    const notified = new Promise((resolve) =>
      ana.client.sock.ws.once('CB:notification,type:devices', resolve),
    )
    town.simulator.unlink({ jid: second.jid })
    await notified
    await ana.client.sendText(bob.chat, 'one')
    await bob.client.until('one', () => bob.client.texts().includes('one'))
    expect(second.client.texts()).toEqual(['both'])
  })
})
