/** Contacts and phones opposite unmodified Baileys clients, through the server. */
import { getBinaryNodeChild } from '@whiskeysockets/baileys'
import { afterEach, describe, expect, it } from 'vitest'
import type { Client } from '../../test/client.ts'
import { Town } from '../../test/town.ts'
import type { Addressing, Stanza } from '../types.ts'

let town: Town
afterEach(() => town.close())

/** The key under which a Baileys client keeps its session with a person's phone. */
const sessionKey = (lid: string) => `${lid.replace('@lid', '')}_1.0`

interface StoredSession {
  _sessions: Record<string, { _chains: Record<string, { chainType: number; chainKey: { key?: string } }> }>
}

/** Makes everything the client encrypts for this person from now on unreadable. */
async function spoilSending(client: Client, lid: string): Promise<void> {
  const key = sessionKey(lid)
  const { [key]: stored } = await client.auth.keys.get('session', [key])
  const session = stored as unknown as StoredSession
  for (const { _chains } of Object.values(session._sessions)) {
    for (const chain of Object.values(_chains)) {
      if (chain.chainType === 1) chain.chainKey.key = Buffer.alloc(32, 7).toString('base64')
    }
  }
  await client.auth.keys.set({ session: { [key]: session as unknown as Uint8Array } })
}

describe.each<Addressing>(['pn', 'lid'])('addressed by %s', (addressing) => {
  it('a contact reads, types and answers what a client sends', async () => {
    town = await Town.found({ addressing })
    const { client } = await town.resident('Ana')
    const contact = town.simulator.addContact({
      name: 'Bob',
      behaviour: { reads: true, types: true, answers: {} },
    })
    const chat = addressing === 'lid' ? contact.lid : contact.jid
    const states: (string | undefined)[] = []
    client.sock.ev.on('presence.update', ({ presences }) => {
      for (const { lastKnownPresence } of Object.values(presences)) states.push(lastKnownPresence)
    })
    const id = await client.sendText(chat, 'hello')
    await client.until('answer', () => client.texts().includes('echo: hello'))
    await client.until('read', () => client.statusOf(id) === 4)
    const answer = client.messages.find(({ message }) => message?.conversation === 'echo: hello')
    expect(answer).toMatchObject({ pushName: 'Bob', key: { remoteJid: chat, addressingMode: addressing } })
    // Baileys takes a pause in typing for presence
    expect(states).toEqual(['composing', 'available'])
    expect(town.simulator.received({ phone: contact.phone })).toMatchObject([
      { id, text: 'hello', type: 'text', times: 1 },
    ])
  })

  it('rows of messages cross each other without loss', async () => {
    town = await Town.found({ addressing })
    const { client, phone } = await town.resident('Ana')
    const contact = town.simulator.addContact({ name: 'Bob' })
    const chat = addressing === 'lid' ? contact.lid : contact.jid
    const row = town.simulator.contactSend({ phone: contact.phone, to: phone, text: 'no. {n}', count: 40 })
    const own: string[] = []
    for (let n = 1; n <= 40; n++) own.push(await client.sendText(chat, `mine ${n}`))
    const { ids } = await row
    await client.until('all', () => client.texts().length === 40)
    await client.until('all delivered', () => own.every((id) => client.statusOf(id) === 3))
    expect(ids).toHaveLength(40)
    expect(client.texts()).toEqual(ids.map((_, n) => `no. ${n + 1}`))
    const received = town.simulator.received({ phone: contact.phone })
    expect(received.map(({ text }) => text)).toEqual(own.map((_, n) => `mine ${n + 1}`))
  })

  it('a client that has lost its session gets the message again under its id', async () => {
    town = await Town.found({ addressing })
    const { client, phone } = await town.resident('Ana')
    const contact = town.simulator.addContact({ name: 'Bob', behaviour: { answers: {} } })
    await client.sendText(addressing === 'lid' ? contact.lid : contact.jid, 'hello')
    await client.until('answer', () => client.texts().includes('echo: hello'))
    await client.auth.keys.set({ session: { [sessionKey(contact.lid)]: null } })
    const counts: (string | undefined)[] = []
    client.sock.ws.on('CB:message', (stanza: Stanza) =>
      counts.push(getBinaryNodeChild(stanza, 'enc')?.attrs.count),
    )
    const { ids } = await town.simulator.contactSend({
      phone: contact.phone,
      to: phone,
      text: 'can you read this?',
    })
    await client.until('resend', () => client.texts().includes('can you read this?'))
    const readable = client.messages.find(({ message }) => message?.conversation === 'can you read this?')
    expect(readable?.key.id).toBe(ids[0])
    expect(counts).toEqual([undefined, '1'])
  })

  it('a contact that cannot read asks again, and the client resends', async () => {
    town = await Town.found({ addressing })
    const { client } = await town.resident('Ana')
    const contact = town.simulator.addContact({ name: 'Bob', behaviour: { answers: {} } })
    const chat = addressing === 'lid' ? contact.lid : contact.jid
    await client.sendText(chat, 'hello')
    await client.until('answer', () => client.texts().includes('echo: hello'))
    await spoilSending(client, contact.lid)
    const asked: (string | undefined)[] = []
    client.sock.ws.on('CB:receipt,type:retry', (receipt: Stanza) => asked.push(receipt.attrs.id))
    const id = await client.sendText(chat, 'once more')
    await client.until('answer to the resend', () => client.texts().includes('echo: once more'))
    expect(asked).toEqual([id])
    expect(town.simulator.received({ phone: contact.phone }).find((each) => each.id === id)).toMatchObject({
      times: 1,
    })
  })

  it('a phone welcomes its companion: app state key, history, and nobody waits', async () => {
    town = await Town.found({ addressing })
    const client = town.stranger()
    const qr = await client.until('qr', () => client.qr)
    await town.simulator.scanQr({ qr, name: 'Ana' })
    await client.open()
    await client.until('key', () => client.auth.creds.myAppStateKeyId)
    await client.until('history', () => client.auth.creds.processedHistoryMessages?.length)
  })
})

it('sessions outlive a change of addressing', async () => {
  town = await Town.found({ addressing: 'pn' })
  const { client, phone } = await town.resident('Ana')
  const contact = town.simulator.addContact({ name: 'Bob', behaviour: { answers: {} } })
  await client.sendText(contact.jid, 'by number')
  await client.until('answer', () => client.texts().includes('echo: by number'))
  town.simulator.setAddressing('lid')
  const retries: Stanza[] = []
  client.sock.ws.on('CB:receipt,type:retry', (receipt: Stanza) => retries.push(receipt))
  const { ids } = await town.simulator.contactSend({ phone: contact.phone, to: phone, text: 'by LID now' })
  await client.until('text', () => client.texts().includes('by LID now'))
  const arrived = client.messages.find(({ key }) => key.id === ids[0])
  expect(arrived?.key).toMatchObject({ remoteJid: contact.lid, remoteJidAlt: contact.jid })
  await client.sendText(contact.lid, 'me too')
  await client.until('answer', () => client.texts().includes('echo: me too'))
  expect(client.messages.filter(({ messageStubType }) => messageStubType)).toEqual([])
  expect(retries).toEqual([])
})
