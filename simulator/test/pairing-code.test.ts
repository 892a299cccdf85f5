import { afterEach, expect, test } from 'vitest'
import { Town } from './town.ts'

let town: Town
afterEach(() => town.close())

test('a client links with a pairing code', async () => {
  town = await Town.found()
  const client = town.stranger()
  await client.until('qr', () => client.qr)
  const phone = '5511955554444'
  const linking = town.simulator.enterPairingCode({ phone, code: 'PALOMAR1', name: 'Code' })
  await client.sock.requestPairingCode(phone, 'PALOMAR1')
  const linked = await linking
  await client.open()
  expect(client.closes).toEqual([515])
  expect(linked.jid).toBe(`${phone}:1@s.whatsapp.net`)
  expect(client.sock.user).toMatchObject({ id: linked.jid, lid: linked.lid, name: 'Code' })
})

test('a wrong code links nobody', async () => {
  town = await Town.found()
  const client = town.stranger()
  await client.until('qr', () => client.qr)
  const phone = '5511955554444'
  await client.sock.requestPairingCode(phone, 'PALOMAR1')
  await expect(town.simulator.enterPairingCode({ phone, code: 'PALOMAR2' })).rejects.toMatchObject({
    status: 403,
  })
  expect(town.simulator.counters().pairings).toBe(0)
})
