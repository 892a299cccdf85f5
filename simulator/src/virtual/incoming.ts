/** Reading messages: from a stanza to the content that its author wrote. */
import { getBinaryNodeChildren, jidNormalizedUser, proto, unpadRandomMax16 } from '@whiskeysockets/baileys'
import type { Stanza } from '../types.ts'
import type { Endpoint, Peer } from './endpoint.ts'

export interface Opened {
  author: Peer
  /** bare JIDs */
  from: string
  chat: string
  /** everything the stanza carried, merged; DeviceSentMessage taken off, padding too */
  message: proto.IMessage
}

/** Who wrote a message stanza, and in which chat. */
export function envelope({ peerAt }: Endpoint, { attrs }: Stanza): Omit<Opened, 'message'> {
  const { from = '', participant, recipient } = attrs
  const writer = participant ?? from
  return {
    author: peerAt(writer),
    from: jidNormalizedUser(writer),
    chat: participant ? from : jidNormalizedUser(recipient ?? from),
  }
}

/**
 * Decrypts a message stanza. Throws when any part cannot be read; what the readable parts did to the sessions
 * stays done. Throws also when there is nothing to decrypt.
 */
export async function openMessage(endpoint: Endpoint, stanza: Stanza): Promise<Opened> {
  const { sessions, groups } = endpoint
  const opened = envelope(endpoint, stanza)
  const { address } = opened.author
  const encs = getBinaryNodeChildren(stanza, 'enc')
  if (!encs.length) throw new Error('Nothing to decrypt')
  const message: proto.IMessage = {}
  for (const { attrs, content } of encs) {
    if (!(content instanceof Uint8Array)) throw new Error('Empty enc')
    const { type } = attrs
    let padded: Uint8Array
    if (type === 'skmsg') padded = await groups.decrypt(opened.chat, address, content)
    else if (type === 'pkmsg' || type === 'msg') padded = await sessions.decrypt(address, type, content)
    else throw new Error(`Unknown enc type ${type}`)
    const outer = proto.Message.decode(unpadRandomMax16(padded))
    const part = outer.deviceSentMessage?.message ?? outer
    // The key of a group comes in the enc before the one that needs it.
    if (part.senderKeyDistributionMessage) await groups.learn(address, part.senderKeyDistributionMessage)
    Object.assign(message, part)
  }
  return { ...opened, message }
}
