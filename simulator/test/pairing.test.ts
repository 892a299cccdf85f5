import { afterEach, describe, expect, test } from 'vitest'
import { Town } from './town.ts'

let town: Town
afterEach(() => town.close())

describe.each(['pn', 'lid'] as const)('addressing by %s', (addressing) => {
  test('two clients pair by QR and write to each other', async () => {
    town = await Town.found({ addressing })
    const [ana, bob] = await Promise.all([town.resident('Ana'), town.resident('Bob')])
    const id = await ana.client.sendText(bob.chat, 'hello')
    await ana.client.until('ack', () => ana.client.acks.some((each) => each.id === id && !each.error))
    await bob.client.until('text', () => bob.client.texts().includes('hello'))
    await ana.client.until('delivered', () => ana.client.statusOf(id) === 3)
    const { key, pushName } = bob.client.messages.find((each) => each.key.id === id) ?? { key: {} }
    expect(key).toMatchObject({ remoteJid: ana.chat, addressingMode: addressing })
    expect(pushName).toBe('Ana')

    const answer = await bob.client.sendText(ana.chat, 'hi')
    await ana.client.until('text', () => ana.client.texts().includes('hi'))
    await bob.client.until('delivered', () => bob.client.statusOf(answer) === 3)
  })
})

test('the name and LID of the phone reach the client', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana', '5511987654321')
  expect(ana.client.sock.user).toMatchObject({ id: ana.jid, lid: ana.lid, name: 'Ana' })
  expect(ana.jid).toBe('5511987654321:1@s.whatsapp.net')
})

test('a contact answers, and its messages arrive', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({
    name: 'Carl',
    behaviour: { reads: true, answers: { text: 'yes' } },
  })
  const id = await ana.client.sendText(carl.jid, 'well?')
  await ana.client.until('read', () => ana.client.statusOf(id) === 4)
  await ana.client.until('answer', () => ana.client.texts().includes('yes'))
  expect(town.simulator.received({ phone: carl.phone })).toMatchObject([{ id, text: 'well?', times: 1 }])
  const { ids } = await town.simulator.contactSend({
    phone: carl.phone,
    to: ana.phone,
    text: '#{n}',
    count: 3,
  })
  await ana.client.until('all', () => ['#1', '#2', '#3'].every((text) => ana.client.texts().includes(text)))
  expect(ids).toHaveLength(3)
})
