import { randomBytes } from 'node:crypto'
import { Curve } from '@whiskeysockets/baileys'
import { afterEach, expect, test } from 'vitest'
import { Client } from './client.ts'
import { Town } from './town.ts'

let town: Town
afterEach(() => town.close())

const kinds = () => town.simulator.counters().violations.map((each) => each.kind)

test('a registration whose signed prekey is not signed by its identity is refused', async () => {
  town = await Town.found()
  const client = new Client(town.simulator.waUrl)
  client.auth.creds.signedPreKey.signature = randomBytes(64)
  client.connect()
  await client.until('close', () => client.state === 'close')
  expect(client.closes).toEqual([400])
  expect(kinds()).toEqual(['signed-prekey-signature'])
})

test('a device that signs with another key is not linked', async () => {
  town = await Town.found()
  const client = town.stranger()
  const qr = await client.until('qr', () => client.qr)
  Object.assign(client.auth.creds.signedIdentityKey, { private: Curve.generateKeyPair().private })
  await expect(town.simulator.scanQr({ qr })).rejects.toThrow('device-signature')
  await client.until('close', () => client.closes.includes(401))
  expect(kinds()).toEqual(['device-signature'])
  expect(town.simulator.counters().devices).toEqual([])
})

test('a message under a forged device identity is not routed', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  const account = ana.client.auth.creds.account
  if (!account) throw new Error('not linked')
  account.deviceSignature = randomBytes(64)
  const id = await ana.client.sendText(carl.jid, 'hello')
  await ana.client.until('nack', () => ana.client.acks.find((each) => each.id === id)?.error === '479')
  expect(kinds()).toEqual(['device-identity'])
  expect(town.simulator.received({ phone: carl.phone })).toEqual([])
})

test('a login with a stranger’s Noise key is refused', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const thief = new Client(town.simulator.waUrl)
  thief.auth.creds.me = ana.client.auth.creds.me
  thief.connect()
  await thief.until('close', () => thief.closes.includes(401))
  expect(ana.client.state).toBe('open')
})
