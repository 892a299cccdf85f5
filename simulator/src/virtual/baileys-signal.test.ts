/** The other end is Baileys' own Signal repository, under both of a peer's names. */
import {
  addTransactionCapability,
  initAuthCreds,
  proto,
  type SignalDataTypeMap,
  unpadRandomMax16,
  writeRandomPadMax16,
} from '@whiskeysockets/baileys'
import { makeLibSignalRepository } from '@whiskeysockets/baileys/lib/Signal/libsignal.js'
import { expect, it } from 'vitest'
import { deviceJid, personJid } from '../jid.ts'
import type { Addressing, Device, Stanza } from '../types.ts'
import { createGroupSessions } from './group-sessions.ts'
import { createMemoryServer } from './memory-server.ts'
import { createVirtualDevice } from './virtual-device.ts'

const nothing = () => undefined
const silent = {
  level: 'silent',
  child: () => silent,
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
}

/** A Baileys repository with a map for a key store. */
function baileysRepository() {
  const store = new Map<string, unknown>()
  const creds = initAuthCreds()
  const keys = addTransactionCapability(
    {
      async get<T extends keyof SignalDataTypeMap>(type: T, ids: string[]) {
        const found: { [id: string]: SignalDataTypeMap[T] } = {}
        for (const id of ids) {
          const value = store.get(`${type}/${id}`)
          if (value !== undefined) found[id] = value as SignalDataTypeMap[T]
        }
        return found
      },
      async set(data) {
        for (const [type, entries] of Object.entries(data)) {
          for (const [id, value] of Object.entries(entries ?? {})) {
            if (value === null) store.delete(`${type}/${id}`)
            else store.set(`${type}/${id}`, value)
          }
        }
      },
    },
    silent,
    { maxCommitRetries: 1, delayBetweenTriesMs: 1 },
  )
  return { creds, repository: makeLibSignalRepository({ creds, keys }, silent) }
}

it.each<[Addressing, Addressing]>([
  ['pn', 'pn'],
  ['lid', 'lid'],
  ['pn', 'lid'],
])('a conversation with Baileys that starts by %s and goes on by %s', async (first, later) => {
  const server = createMemoryServer(first)
  const [anna, bob] = [server.account('5511'), server.account('5522')]
  const peer = createVirtualDevice(server, bob)
  const { creds, repository } = baileysRepository()
  await repository.lidMapping.storeLIDPNMappings([
    { lid: personJid(bob, 'lid'), pn: personJid(bob, 'pn') },
    { lid: personJid(anna, 'lid'), pn: personJid(anna, 'pn') },
  ])
  const arrivals: Stanza[] = []
  const client: Device = {
    account: anna,
    id: 2,
    deviceIdentity: undefined,
    deliver: (stanza) => arrivals.push(stanza),
    keys: {
      registrationId: creds.registrationId,
      identity: Buffer.from(creds.signedIdentityKey.public),
      signedPreKey: {
        id: creds.signedPreKey.keyId,
        publicKey: Buffer.from(creds.signedPreKey.keyPair.public),
        signature: Buffer.from(creds.signedPreKey.signature),
      },
      preKeys: [],
    },
  }
  anna.devices.set(2, client)

  async function baileysReads(stanza: Stanza | undefined) {
    if (!stanza) throw new Error('nothing has arrived')
    const enc = (stanza.content as Stanza[])[0]
    const type = enc?.attrs.type === 'pkmsg' ? 'pkmsg' : 'msg'
    const jid = stanza.attrs.from ?? ''
    const plain = await repository.decryptMessage({ jid, type, ciphertext: enc?.content as Uint8Array })
    return { type, text: proto.Message.decode(unpadRandomMax16(plain)).conversation }
  }

  async function baileysWrites(mode: Addressing, id: string, conversation: string) {
    const data = writeRandomPadMax16(proto.Message.encode({ conversation }).finish())
    const { type, ciphertext } = await repository.encryptMessage({ jid: personJid(bob, mode), data })
    const attrs = { id, from: deviceJid(client, mode), type: 'text' }
    peer.device.deliver?.({
      tag: 'message',
      attrs,
      content: [{ tag: 'enc', attrs: { v: '2', type }, content: ciphertext }],
    })
    return type
  }

  await peer.send(personJid(anna, first), { conversation: 'hello' })
  expect(await baileysReads(arrivals.find(({ tag }) => tag === 'message'))).toEqual({
    type: 'pkmsg',
    text: 'hello',
  })

  expect(await baileysWrites(first, 'A1', 'hi')).toBe('msg')
  expect(await peer.journal.untilReceived((m) => m.id === 'A1')).toMatchObject({
    text: 'hi',
    from: personJid(anna, first),
  })

  expect(await baileysWrites(later, 'A2', 'other name, same session')).toBe('msg')
  expect(await peer.journal.untilReceived((m) => m.id === 'A2')).toMatchObject({
    from: personJid(anna, later),
  })

  const id = await peer.send(personJid(anna, later), { conversation: 'so do I' })
  expect(await baileysReads(arrivals.find(({ attrs }) => attrs.id === id))).toEqual({
    type: 'msg',
    text: 'so do I',
  })

  // Baileys fetches anew when it first hears of a LID: the session it replaces must still not cost a message
  const { bundle, preKey } = server.takeBundle(peer.device)
  const prefix = (key: Buffer) => Buffer.concat([Buffer.from([5]), key])
  await repository.injectE2ESession({
    jid: personJid(bob, 'lid'),
    session: {
      registrationId: bundle.registrationId,
      identityKey: prefix(bundle.identity),
      signedPreKey: {
        keyId: bundle.signedPreKey.id,
        publicKey: prefix(bundle.signedPreKey.publicKey),
        signature: bundle.signedPreKey.signature,
      },
      preKey: { keyId: preKey?.id ?? 0, publicKey: prefix(preKey?.publicKey ?? Buffer.alloc(0)) },
    },
  })
  const crossing = await peer.send(personJid(anna, later), { conversation: 'crossing' })
  expect(await baileysWrites(later, 'A3', 'fresh session')).toBe('pkmsg')
  expect(await peer.journal.untilReceived((m) => m.id === 'A3')).toMatchObject({ text: 'fresh session' })
  expect(await baileysReads(arrivals.find(({ attrs }) => attrs.id === crossing))).toMatchObject({
    text: 'crossing',
  })
  expect(peer.journal.undecryptable().size).toBe(0)
})

it('groups: each end reads the sender keys of the other', async () => {
  const group = '123@g.us'
  const groups = createGroupSessions('95522.0')
  const { repository } = baileysRepository()
  const [baileys, virtual] = ['95511@lid', '95522@lid']

  const item = { groupId: group, axolotlSenderKeyDistributionMessage: await groups.ownKey(group) }
  await repository.processSenderKeyDistributionMessage({ item, authorJid: virtual })
  for (const text of ['one', 'two', 'three']) {
    const msg = await groups.encrypt(group, Buffer.from(text))
    const read = await repository.decryptGroupMessage({ group, authorJid: virtual, msg })
    expect(Buffer.from(read).toString()).toBe(text)
  }

  const bodies: Uint8Array[] = []
  for (const text of ['one', 'two', 'three']) {
    const data = Buffer.from(text)
    const sent = await repository.encryptGroupMessage({ group, meId: baileys, data })
    const key = { groupId: group, axolotlSenderKeyDistributionMessage: sent.senderKeyDistributionMessage }
    if (!bodies.length) await groups.learn('95511.0', key)
    bodies.push(sent.ciphertext)
  }
  const read: string[] = []
  for (const body of bodies.reverse()) {
    read.push(Buffer.from(await groups.decrypt(group, '95511.0', body)).toString())
  }
  expect(read).toEqual(['three', 'two', 'one'])
  await expect(groups.decrypt(group, '95511.0', bodies[0] ?? Buffer.alloc(0))).rejects.toThrow('old counter')
})
