import { getBinaryNodeChild } from '@whiskeysockets/baileys'
import { describe, expect, it } from 'vitest'
import { newKeyPair, typed, verify } from '../curve.ts'
import { deviceJid, personJid } from '../jid.ts'
import type { Addressing, Device, Stanza } from '../types.ts'
import { createMemoryServer } from './memory-server.ts'
import { createVirtualDevice } from './virtual-device.ts'

function meeting(addressing: Addressing) {
  const server = createMemoryServer(addressing)
  const [anna, bob] = [server.account('5511'), server.account('5522')]
  const failures: unknown[] = []
  const options = { onError: (error: unknown) => failures.push(error) }
  const phone = createVirtualDevice(server, anna, 0, options)
  const linked = createVirtualDevice(server, anna, 3, { ...options, identity: newKeyPair() })
  const peer = createVirtualDevice(server, bob, 0, options)
  const jids = { anna: personJid(anna, addressing), bob: personJid(bob, addressing) }
  const receiptsFrom = (device: Device) =>
    server.submitted
      .filter(({ from, stanza }) => from === device && stanza.tag === 'receipt')
      .map((s) => s.stanza)
  return { server, anna, bob, phone, linked, peer, jids, failures, receiptsFrom }
}

/** Breaks the MAC of a message's first enc, which is its end, but for the ids that close a prekey message. */
function spoil(stanza: Stanza): Stanza {
  const enc = getBinaryNodeChild(stanza, 'enc')
  const body = Buffer.from(enc?.content as Uint8Array)
  body.writeUInt8(body.readUInt8(body.length - 8) ^ 0xff, body.length - 8)
  return { ...stanza, content: [{ tag: 'enc', attrs: enc?.attrs ?? {}, content: body }] }
}

const say = (conversation: string) => ({ conversation })

describe.each<Addressing>(['pn', 'lid'])('two virtual devices, addressed by %s', (addressing) => {
  it('reach each other and the own other device, and receipt what they get', async () => {
    const { linked, phone, peer, jids, receiptsFrom, failures } = meeting(addressing)
    const id = await phone.send(jids.bob, say('hello'))
    const got = await peer.journal.untilReceived((m) => m.id === id)
    expect(got).toMatchObject({
      from: jids.anna,
      chat: jids.anna,
      own: false,
      type: 'text',
      text: 'hello',
      times: 1,
      order: 1,
    })
    const copy = await linked.journal.untilReceived((m) => m.id === id)
    expect(copy).toMatchObject({ from: jids.anna, chat: jids.bob, own: true, text: 'hello' })
    await phone.journal.untilMarked(id, 'delivered')
    expect(receiptsFrom(peer.device)).toEqual([{ tag: 'receipt', attrs: { id, to: jids.anna } }])
    expect(receiptsFrom(linked.device)).toEqual([
      { tag: 'receipt', attrs: { id, to: jids.anna, type: 'sender', recipient: jids.bob } },
    ])
    const back = await peer.send(jids.anna, say('hi'))
    expect(await phone.journal.untilReceived((m) => m.id === back)).toMatchObject({
      text: 'hi',
      from: jids.bob,
    })
    expect(await linked.journal.untilReceived((m) => m.id === back)).toMatchObject({ text: 'hi', own: false })
    expect(failures).toEqual([])
  })

  it('start sessions with prekey messages and go on with plain ones once answered', async () => {
    const { server, phone, peer, jids } = meeting(addressing)
    const names = new Map([
      [phone.device, 'phone'],
      [peer.device, 'bob'],
    ])
    const types: string[] = []
    server.onRoute = (to, stanza, deliver) => {
      const type = getBinaryNodeChild(stanza, 'enc')?.attrs.type
      if (stanza.tag === 'message') types.push(`${names.get(to) ?? 'linked'} ${type}`)
      deliver(stanza)
    }
    const first = await peer.send(jids.anna, say('1'))
    await phone.journal.untilReceived((m) => m.id === first)
    const second = await phone.send(jids.bob, say('2'))
    await peer.journal.untilReceived((m) => m.id === second)
    const third = await peer.send(jids.anna, say('3'))
    await phone.journal.untilReceived((m) => m.id === third)
    expect(types).toEqual([
      ...['phone pkmsg', 'linked pkmsg'],
      ...['linked pkmsg', 'bob msg'],
      // the linked device has not answered yet
      ...['phone msg', 'linked pkmsg'],
    ])
  })

  it('read messages that arrive out of order, and count repeats without reading them twice', async () => {
    const { server, phone, peer, jids, receiptsFrom } = meeting(addressing)
    const opening = await phone.send(jids.bob, say('opening'))
    await peer.journal.untilReceived((m) => m.id === opening)
    const held: (() => void)[] = []
    server.onRoute = (to, stanza, deliver) => {
      if (stanza.tag === 'message' && to === peer.device) held.push(() => deliver(stanza))
      else deliver(stanza)
    }
    const ids = await Promise.all(['a', 'b', 'c', 'd'].map((text) => phone.send(jids.bob, say(text))))
    for (const deliver of [...held].reverse()) deliver()
    held[0]?.()
    await peer.idle()
    expect(peer.journal.received().map((m) => m.text)).toEqual(['opening', 'd', 'c', 'b', 'a'])
    expect(peer.journal.received().find((m) => m.id === ids[0])).toMatchObject({ times: 2 })
    expect(receiptsFrom(peer.device).filter((receipt) => receipt.attrs.type === 'retry')).toEqual([])
    expect(receiptsFrom(peer.device).filter((receipt) => receipt.attrs.id === ids[0])).toHaveLength(2)
  })

  it('read the true message after a forged copy of it', async () => {
    const { server, phone, peer, jids } = meeting(addressing)
    server.onRoute = (to, stanza, deliver) => {
      // the requests for a resend get lost, so that only the true copies can help
      if (stanza.attrs.type === 'retry') return
      if (stanza.tag === 'message' && to === peer.device) deliver(spoil(stanza))
      deliver(stanza)
    }
    for (const text of ['1', '2']) await phone.send(jids.bob, say(text))
    await peer.idle()
    expect(peer.journal.received().map((m) => m.text)).toEqual(['1', '2'])
    await peer.send(jids.anna, say('answered'))
    await phone.send(jids.bob, say('3'))
    await peer.idle()
    expect(peer.journal.received().map((m) => m.text)).toEqual(['1', '2', '3'])
  })

  it('survive both sides opening a session at the same moment', async () => {
    const { server, phone, peer, jids, receiptsFrom } = meeting(addressing)
    const held: (() => void)[] = []
    server.onRoute = (_, stanza, deliver) => held.push(() => deliver(stanza))
    await Promise.all([phone.send(jids.bob, say('from anna')), peer.send(jids.anna, say('from bob'))])
    server.onRoute = (_, stanza, deliver) => deliver(stanza)
    for (const deliver of held) deliver()
    await Promise.all([phone.idle(), peer.idle()])
    for (let round = 0; round < 3; round++) {
      await Promise.all([phone.send(jids.bob, say(`a${round}`)), peer.send(jids.anna, say(`b${round}`))])
    }
    await Promise.all([phone.idle(), peer.idle()])
    expect(peer.journal.received().map((m) => m.text)).toEqual(['from anna', 'a0', 'a1', 'a2'])
    expect(phone.journal.received().map((m) => m.text)).toEqual(['from bob', 'b0', 'b1', 'b2'])
    expect(
      [...receiptsFrom(peer.device), ...receiptsFrom(phone.device)].map((r) => r.attrs.type),
    ).not.toContain('retry')
  })

  it('ask for what they cannot read, with keys from the second time on, and get it under the same id', async () => {
    const { server, phone, peer, jids, receiptsFrom } = meeting(addressing)
    let broken = 0
    const counts: (string | undefined)[] = []
    server.onRoute = (to, stanza, deliver) => {
      if (stanza.tag !== 'message' || to !== peer.device) return deliver(stanza)
      counts.push(getBinaryNodeChild(stanza, 'enc')?.attrs.count)
      deliver(broken++ < 2 ? spoil(stanza) : stanza)
    }
    const id = await phone.send(jids.bob, say('again, please'))
    expect(await peer.journal.untilReceived((m) => m.id === id)).toMatchObject({
      text: 'again, please',
      times: 1,
    })
    expect(counts).toEqual([undefined, '1', '2'])
    const retries = receiptsFrom(peer.device).filter((receipt) => receipt.attrs.type === 'retry')
    expect(retries.map((receipt) => getBinaryNodeChild(receipt, 'retry')?.attrs.count)).toEqual(['1', '2'])
    expect(retries.map((receipt) => getBinaryNodeChild(receipt, 'keys') !== undefined)).toEqual([false, true])
    expect(phone.journal.sent(id)).toMatchObject({ resends: 2 })
    expect(peer.journal.undecryptable().size).toBe(0)
    const next = await peer.send(jids.anna, say('thanks'))
    expect(await phone.journal.untilReceived((m) => m.id === next)).toMatchObject({ text: 'thanks' })
  })

  it('resend an own copy to the own device that lost it', async () => {
    const { server, phone, linked, jids } = meeting(addressing)
    let broken = 0
    server.onRoute = (to, stanza, deliver) => {
      const spoilt = stanza.tag === 'message' && to === linked.device && broken++ < 1
      deliver(spoilt ? spoil(stanza) : stanza)
    }
    const id = await phone.send(jids.bob, say('for my own eyes'))
    expect(await linked.journal.untilReceived((m) => m.id === id)).toMatchObject({
      own: true,
      chat: jids.bob,
    })
  })

  it('give up after five requests', async () => {
    const { server, phone, peer, jids, receiptsFrom } = meeting(addressing)
    server.onRoute = (to, stanza, deliver) =>
      deliver(stanza.tag === 'message' && to === peer.device ? spoil(stanza) : stanza)
    const id = await phone.send(jids.bob, say('hopeless'))
    for (let round = 0; round < 12; round++) await Promise.all([phone.idle(), peer.idle()])
    expect(receiptsFrom(peer.device)).toHaveLength(5)
    expect([...peer.journal.undecryptable().keys()]).toEqual([id])
  })

  it('write to groups: the key goes once to each device, and again to one that lost it', async () => {
    const { server, phone, linked, peer, jids } = meeting(addressing)
    const group = '123@g.us'
    server.groups.set(group, [jids.anna, jids.bob])
    const encs: (string | undefined)[][] = []
    let broken = 0
    server.onRoute = (to, stanza, deliver) => {
      if (stanza.tag !== 'message' || to !== peer.device) return deliver(stanza)
      encs.push((stanza.content as Stanza[]).map((node) => node.attrs.type))
      deliver(broken++ < 1 ? spoil(stanza) : stanza)
    }
    const first = await phone.send(group, say('all'))
    expect(await peer.journal.untilReceived((m) => m.id === first)).toMatchObject({
      chat: group,
      from: jids.anna,
      text: 'all',
    })
    expect(await linked.journal.untilReceived((m) => m.id === first)).toMatchObject({
      chat: group,
      own: true,
    })
    const second = await phone.send(group, say('again'))
    expect(await peer.journal.untilReceived((m) => m.id === second)).toMatchObject({ text: 'again' })
    expect(encs).toEqual([['pkmsg', 'skmsg'], ['pkmsg'], ['skmsg']])
  })
})

describe('the keys of a virtual device', () => {
  it('are signed by its identity, and every one-time prekey is handed out once', async () => {
    const { server, phone, anna } = meeting('pn')
    const keys = phone.device.keys
    if (!keys) throw new Error('no keys')
    expect(keys.identity).toEqual(anna.primary.publicKey)
    const { publicKey, signature } = keys.signedPreKey
    expect(verify(keys.identity, typed(publicKey), signature)).toBe(true)
    for (let n = 0; n < 10; n++) server.takeBundle(phone.device)
    expect(server.takenPreKeys.get(phone.device)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('open one session only: a second use of a one-time prekey is refused', async () => {
    const { server, phone, peer, bob, jids, receiptsFrom } = meeting('pn')
    const bundle = server.takeBundle(peer.device)
    const thief = createVirtualDevice({ ...server, takeBundle: () => bundle }, server.account('5533'))
    const honest = createVirtualDevice({ ...server, takeBundle: () => bundle }, server.account('5544'))
    const id = await honest.send(jids.bob, say('first'))
    await peer.journal.untilReceived((m) => m.id === id)
    const stolen = await thief.send(personJid(bob, 'pn'), say('second'))
    await peer.idle()
    expect(peer.journal.undecryptable().get(stolen)).toBe('Invalid PreKey ID')
    expect(receiptsFrom(peer.device).at(-1)?.attrs).toMatchObject({ type: 'retry', id: stolen })
    expect(phone.journal.received()).toEqual([])
  })

  it('are fetched anew when the peer was reinstalled', async () => {
    const { server, phone, peer, bob, jids } = meeting('pn')
    const id = await phone.send(jids.bob, say('old phone'))
    await peer.journal.untilReceived((m) => m.id === id)
    Object.assign(bob.primary, newKeyPair())
    const reinstalled = createVirtualDevice(server, bob)
    const next = await phone.send(jids.bob, say('new phone'))
    expect(await reinstalled.journal.untilReceived((m) => m.id === next)).toMatchObject({ text: 'new phone' })
  })
})

it('sends of one device leave in the order of calls', async () => {
  const { server, phone, peer, jids } = meeting('pn')
  const ids = await Promise.all(Array.from({ length: 50 }, (_, n) => phone.send(jids.bob, say(`${n}`))))
  await peer.idle()
  expect(server.submitted.filter((s) => s.stanza.tag === 'message').map((s) => s.stanza.attrs.id)).toEqual(
    ids,
  )
  expect(peer.journal.received().map((m) => m.order)).toEqual(ids.map((_, n) => n + 1))
  await expect(phone.send('999@s.whatsapp.net', say('nobody'))).rejects.toThrow('Nobody')
  expect(deviceJid(phone.device, 'pn')).toBe('5511@s.whatsapp.net')
})
