import {
  type BinaryNode,
  getBinaryNodeChild,
  getBinaryNodeChildren,
  getBinaryNodeChildUInt,
  S_WHATSAPP_NET,
} from '@whiskeysockets/baileys'
import { afterEach, expect, test } from 'vitest'
import { Town } from './town.ts'

let town: Town
afterEach(() => town.close())

test('numbers are known, or not', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({})
  expect(await ana.client.sock.onWhatsApp(carl.phone, '5511000000000')).toEqual([
    { jid: carl.jid, exists: true },
  ])
})

test('prekeys are used once, and a client that runs low uploads more', async () => {
  town = await Town.found()
  const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
  const prekeys = () =>
    town.simulator.counters().devices.find((device) => device.jid === ana.jid)?.prekeys ?? Number.NaN
  const warned = new Promise((resolve) => ana.client.sock.ws.once('CB:notification,type:encrypt', resolve))
  const count = prekeys() - 4
  const answer: BinaryNode = await bob.client.sock.query({
    tag: 'iq',
    attrs: { xmlns: 'encrypt', type: 'get', to: S_WHATSAPP_NET },
    content: [
      {
        tag: 'key',
        attrs: {},
        content: Array.from({ length: count }, () => ({ tag: 'user', attrs: { jid: ana.jid } })),
      },
    ],
  })
  const users = getBinaryNodeChildren(getBinaryNodeChild(answer, 'list'), 'user')
  const ids = users.map((user) => getBinaryNodeChildUInt(getBinaryNodeChild(user, 'key') ?? user, 'id', 3))
  expect(new Set(ids).size).toBe(count)
  await warned
  await expect.poll(prekeys, { timeout: 10_000 }).toBe(9)
})

test('presence and typing reach those who asked', async () => {
  town = await Town.found()
  const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
  const seen: (string | undefined)[] = []
  const note = (wanted: string) =>
    new Promise<void>((resolve) => {
      ana.client.sock.ev.on('presence.update', ({ presences }) => {
        const known = Object.values(presences)[0]?.lastKnownPresence
        seen.push(known)
        if (known === wanted) resolve()
      })
    })
  await ana.client.sock.presenceSubscribe(bob.chat)
  const composing = note('composing')
  await bob.client.sock.sendPresenceUpdate('composing', ana.chat)
  await composing
  const gone = note('unavailable')
  town.simulator.drop({ jid: bob.jid })
  await gone
  expect(seen).toContain('composing')
})

test('settings that one device changes reach the other', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const second = await town.resident('Ana', ana.phone)
  const carl = town.simulator.addContact({})
  await ana.client.until('app state key', () => ana.client.auth.creds.myAppStateKeyId)
  await second.client.until('app state key', () => second.client.auth.creds.myAppStateKeyId)
  const pinned = new Promise((resolve) =>
    second.client.sock.ev.on('chats.update', (chats) => {
      if (chats.some((each) => each.id === carl.jid && each.pinned)) resolve(undefined)
    }),
  )
  await ana.client.sock.chatModify({ pin: true }, carl.jid)
  await pinned
})
