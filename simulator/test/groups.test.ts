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

describe.each(['pn', 'lid'] as const)('people without a client, addressing by %s', (addressing) => {
  test('a contact and a phone write in a group that a phone has made', async () => {
    town = await Town.found({ addressing })
    const { simulator } = town
    const ana = await town.resident('Ana')
    const carl = simulator.addContact({ name: 'Carl' })
    const { jid } = simulator.createGroup({ owner: carl.phone, members: [ana.phone], subject: 'Doves' })
    await ana.client.until('group', () => ana.client.messages.find((each) => each.messageStubType))
    expect(await ana.client.sock.groupMetadata(jid)).toMatchObject({
      subject: 'Doves',
      addressingMode: addressing,
      size: 2,
    })

    const { ids } = await simulator.contactSend({ phone: carl.phone, to: jid, text: 'coo {n}', count: 3 })
    await ana.client.until('the third', () => ana.client.texts().includes('coo 3'))
    expect(ana.client.texts()).toEqual(['coo 1', 'coo 2', 'coo 3'])
    expect(ana.client.messages.find(({ key }) => key.id === ids[0])).toMatchObject({
      key: { remoteJid: jid, participant: addressing === 'pn' ? carl.jid : carl.lid },
      pushName: 'Carl',
    })

    const own = await simulator.phoneSend({ phone: ana.phone, to: jid, text: 'coo coo' })
    const copy = await ana.client.until('own', () =>
      ana.client.messages.find(({ key }) => key.id === own.ids[0]),
    )
    expect(copy).toMatchObject({
      key: { remoteJid: jid, fromMe: true },
      message: { conversation: 'coo coo' },
    })
    await expect
      .poll(() => simulator.received({ phone: carl.phone }))
      .toMatchObject([{ chat: jid, text: 'coo coo' }])
    expect(simulator.counters()).toMatchObject({ violations: [], retries: 0 })

    const eve = simulator.addContact({ name: 'Eve' })
    await expect(simulator.contactSend({ phone: eve.phone, to: jid, text: 'hi' })).rejects.toThrow('not in')
    await expect(simulator.phoneSend({ phone: eve.phone, to: carl.phone, text: 'hi' })).rejects.toThrow(
      'no such phone',
    )
    expect(() => simulator.createGroup({ owner: '5599', members: [] })).toThrow('nobody')
  })

  test('linked devices hear what their phone writes to a person', async () => {
    town = await Town.found({ addressing })
    const ana = await town.resident('Ana')
    const carl = town.simulator.addContact({ name: 'Carl' })
    const { ids } = await town.simulator.phoneSend({
      phone: ana.phone,
      to: carl.phone,
      text: '{n}',
      count: 2,
    })
    await ana.client.until('both', () => ana.client.messages.some(({ key }) => key.id === ids[1]))
    const own = ana.client.messages.filter(({ key }) => ids.includes(key.id ?? ''))
    expect(own.map(({ key, message }) => [key.fromMe, key.remoteJid, message?.conversation])).toEqual([
      [true, addressing === 'pn' ? carl.jid : carl.lid, '1'],
      [true, addressing === 'pn' ? carl.jid : carl.lid, '2'],
    ])
    await expect
      .poll(() => town.simulator.received({ phone: carl.phone }).map(({ text }) => text))
      .toEqual(['1', '2'])
  })

  test('a contact that has lost its sessions asks again, in a chat and in a group', async () => {
    town = await Town.found({ addressing })
    const { simulator } = town
    const ana = await town.resident('Ana')
    const carl = simulator.addContact({ name: 'Carl' })
    const { jid } = simulator.createGroup({ owner: ana.phone, members: [carl.phone] })
    const ids = () => simulator.received({ phone: carl.phone }).map(({ id }) => id)
    for (const to of [addressing === 'pn' ? carl.jid : carl.lid, jid]) {
      const before = await ana.client.sendText(to, 'before')
      await expect.poll(ids).toContain(before)
      // an answer ends the opening of the session: a prekey message would begin it anew
      await simulator.contactSend({ phone: carl.phone, to: ana.phone, text: `answer in ${to}` })
      await ana.client.until('answer', () => ana.client.texts().includes(`answer in ${to}`))
      await simulator.loseSessions({ phone: carl.phone })
      const id = await ana.client.sendText(to, 'after')
      await expect
        .poll(() => simulator.received({ phone: carl.phone }).find((each) => each.id === id))
        .toMatchObject({ text: 'after', times: 1, asked: 1 })
    }
    expect(simulator.unreadable({ phone: carl.phone })).toEqual([])
  })
})
