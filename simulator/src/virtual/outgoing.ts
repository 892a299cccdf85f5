/** Writing messages: for every device of the chat, for one that asks again, and for an own companion. */
import { jidDecode, jidEncode, jidNormalizedUser, proto, writeRandomPadMax16 } from '@whiskeysockets/baileys'
import type { Device, KeyBundle, Stanza } from '../types.ts'
import type { Endpoint } from './endpoint.ts'
import { wireAttrs } from './message-content.ts'
import type { CipherType } from './signal-session.ts'

type Keys = { bundle: KeyBundle; preKey?: { id: number; publicKey: Buffer } | undefined }

export interface Outgoing {
  /** the stanza of a message to a person, encrypted for all devices of both sides but this one */
  toPerson(to: string, id: string, message: proto.IMessage): Promise<Stanza>
  /** the stanza of a group message; keys go along to the devices that have not had ours */
  toGroup(group: string, id: string, message: proto.IMessage): Promise<Stanza>
  /** a peer message: from this device to one other of its own account */
  toCompanion(companion: Device, id: string, message: proto.IMessage): Promise<Stanza>
  /** answers a retry receipt of `requester` (device JID) in a new session; undefined when nobody is there */
  again(
    requester: string,
    to: string,
    id: string,
    message: proto.IMessage,
    retry: { count: number; keys?: Keys },
  ): Promise<Stanza | undefined>
}

export function createOutgoing({ device: self, port, sessions, groups, peerOf }: Endpoint): Outgoing {
  const { account } = self

  async function encrypt(target: Device, plaintext: Uint8Array) {
    const { address } = peerOf(target)
    // Looking at the directory's identity key stands in for the notification of a reinstalled peer.
    if (!target.keys) throw new Error(`Device ${address} has no keys`)
    if (!sessions.has(address, target.keys.identity)) {
      const { bundle, preKey } = port.takeBundle(target)
      await sessions.start(address, bundle, preKey)
    }
    return sessions.encrypt(address, plaintext)
  }

  /** `to` nodes for these devices, named in the addressing of `server` */
  async function fanOut(
    devices: Device[],
    server: 'lid' | 's.whatsapp.net',
    plaintextFor: (device: Device) => Uint8Array,
    attrs: Record<string, string>,
  ): Promise<{ nodes: Stanza[]; types: CipherType[] }> {
    const nodes: Stanza[] = []
    const types: CipherType[] = []
    for (const device of devices) {
      const { type, body } = await encrypt(device, plaintextFor(device))
      types.push(type)
      const jid = jidEncode(server === 'lid' ? device.account.lid : device.account.pn, server, device.id)
      nodes.push({ tag: 'to', attrs: { jid }, content: [encNode(type, body, attrs)] })
    }
    return { nodes, types }
  }

  /** Linked devices prove themselves where a session starts; the phone's identity is the account's own. */
  function identityNodes(types: CipherType[]): Stanza[] {
    if (!self.deviceIdentity || !types.includes('pkmsg')) return []
    return [{ tag: 'device-identity', attrs: {}, content: self.deviceIdentity }]
  }

  /** Linked devices get keys a moment after they are linked; until then nobody can write to them. */
  function reachable(devices: Iterable<Device>): Device[] {
    return [...devices].filter((device) => device !== self && device.keys)
  }

  return {
    async toPerson(to, id, message) {
      const { stanza, enc } = wireAttrs(message)
      const others = port.devicesOf(to)
      if (!others.length) throw new Error(`Nobody at ${to}`)
      const audience = reachable(new Set([...account.devices.values(), ...others]))
      const plain = pad(message)
      const copy = pad(deviceSent(to, message))
      // In the chat with oneself every device is one's own.
      const plaintextFor = (device: Device) => (device.account === account ? copy : plain)
      const { nodes, types } = await fanOut(audience, serverOf(to), plaintextFor, enc)
      const participants = { tag: 'participants', attrs: {}, content: nodes }
      return messageNode(id, to, stanza, [participants, ...identityNodes(types)])
    },
    async toGroup(group, id, message) {
      const { stanza, enc } = wireAttrs(message)
      const members = port.membersOf(group)
      if (!members) throw new Error(`No group at ${group}`)
      const key = await groups.ownKey(group)
      const body = await groups.encrypt(group, pad(message))
      const devices = reachable(new Set(members.flatMap((member) => port.devicesOf(member))))
      const keyless = devices.filter((device) => !groups.giveKey(group, peerOf(device).address))
      const keyMessage = pad(senderKey(group, key))
      const server = port.addressing() === 'lid' ? 'lid' : 's.whatsapp.net'
      const { nodes, types } = await fanOut(keyless, server, () => keyMessage, {})
      const content: Stanza[] = [encNode('skmsg', body, enc), ...identityNodes(types)]
      if (nodes.length) content.unshift({ tag: 'participants', attrs: {}, content: nodes })
      return messageNode(id, group, { ...stanza, addressing_mode: port.addressing() }, content)
    },
    async toCompanion(companion, id, message) {
      const { type, body } = await encrypt(companion, pad(message))
      const to = jidEncode(account.pn, 's.whatsapp.net', companion.id)
      const attrs = { type: 'text', category: 'peer', push_priority: 'high_force' }
      return messageNode(id, to, attrs, [encNode(type, body, {}), ...identityNodes([type])])
    },
    async again(requester, to, id, message, { count, keys }) {
      const target = port.devicesOf(requester).find(({ id }) => id === (jidDecode(requester)?.device ?? 0))
      if (!target?.keys) return undefined
      const { address, own } = peerOf(target)
      const { bundle, preKey } = keys ?? port.takeBundle(target)
      await sessions.start(address, bundle, preKey)
      const isGroup = to.endsWith('@g.us')
      const content = isGroup ? { ...message, ...senderKey(to, await groups.ownKey(to)) } : message
      const { type, body } = await encrypt(target, pad(own && !isGroup ? deviceSent(to, content) : content))
      const attrs: Record<string, string> = { ...wireAttrs(message).stanza }
      if (isGroup) attrs.participant = requester
      else attrs.device_fanout = 'false'
      if (own && !isGroup) attrs.recipient = to
      const enc = encNode(type, body, { ...wireAttrs(message).enc, count: count.toString() })
      return messageNode(id, isGroup ? to : requester, attrs, [enc, ...identityNodes([type])])
    },
  }
}

function pad(message: proto.IMessage): Buffer {
  return writeRandomPadMax16(proto.Message.encode(message).finish())
}

function deviceSent(to: string, message: proto.IMessage): proto.IMessage {
  return { deviceSentMessage: { destinationJid: jidNormalizedUser(to), message } }
}

function senderKey(groupId: string, key: Uint8Array): proto.IMessage {
  return { senderKeyDistributionMessage: { groupId, axolotlSenderKeyDistributionMessage: key } }
}

function serverOf(jid: string): 'lid' | 's.whatsapp.net' {
  return jid.endsWith('@lid') ? 'lid' : 's.whatsapp.net'
}

function encNode(type: string, content: Uint8Array, attrs: Record<string, string>): Stanza {
  return { tag: 'enc', attrs: { v: '2', type, ...attrs }, content }
}

function messageNode(id: string, to: string, attrs: Record<string, string>, content: Stanza[]): Stanza {
  return { tag: 'message', attrs: { id, to, ...attrs }, content }
}
