import { afterEach, describe, expect, test } from 'vitest'
import { Town } from './town.ts'

let town: Town
afterEach(() => town.close())

describe.each(['pn', 'lid'] as const)('addressing by %s', (addressing) => {
  test('members of a group read each other', async () => {
    town = await Town.found({ addressing })
    const [ana, bob, eve] = await Promise.all([
      town.resident('Ana'),
      town.resident('Bob'),
      town.resident('Eve'),
    ])
    const created = bob.client.until('group', () => bob.client.messages.find((each) => each.messageStubType))
    const group = await ana.client.sock.groupCreate('Doves', [bob.chat])
    await created
    expect(group).toMatchObject({ subject: 'Doves', addressingMode: addressing, size: 2 })

    const id = await ana.client.sendText(group.id, 'coo')
    const heard = await bob.client.until('coo', () => bob.client.messages.find((each) => each.key.id === id))
    expect(heard.key).toMatchObject({ remoteJid: group.id, fromMe: false })
    await bob.client.sendText(group.id, 'coo coo')
    await ana.client.until('coo coo', () => ana.client.texts().includes('coo coo'))

    const added = await ana.client.sock.groupParticipantsUpdate(group.id, [eve.chat], 'add')
    expect(added).toMatchObject([{ status: '200' }])
    await ana.client.sendText(group.id, 'welcome')
    await eve.client.until('welcome', () => eve.client.texts().includes('welcome'))
    expect(Object.keys(await eve.client.sock.groupFetchAllParticipating())).toEqual([group.id])

    await ana.client.sock.groupParticipantsUpdate(group.id, [bob.chat], 'remove')
    const members = (await eve.client.sock.groupMetadata(group.id)).participants.map((each) => each.id)
    expect(members.sort()).toEqual([ana.chat, eve.chat].sort())
    await expect(bob.client.sock.groupMetadata(group.id)).rejects.toThrow('forbidden')
  })
})

test('a contact that is a member hears the group', async () => {
  town = await Town.found()
  const ana = await town.resident('Ana')
  const carl = town.simulator.addContact({ name: 'Carl' })
  const group = await ana.client.sock.groupCreate('Doves', [carl.jid])
  const id = await ana.client.sendText(group.id, 'coo')
  await expect
    .poll(() => town.simulator.received({ phone: carl.phone }), { timeout: 10_000 })
    .toMatchObject([{ id, text: 'coo', times: 1 }])
})
