/** Receipts as a client writes them, and the keys inside retry receipts. */
import {
  encodeBigEndian,
  extractE2ESessionFromRetryReceipt,
  getBinaryNodeChild,
  getBinaryNodeChildren,
} from '@whiskeysockets/baileys'
import type { KeyBundle, Stanza } from '../types.ts'

const KEY_TYPE = Buffer.from([5])

function answerTo(stanza: Stanza, type?: string): Stanza {
  const { id = '', from = '', participant } = stanza.attrs
  const attrs: Record<string, string> = { id, to: from }
  if (participant) attrs.participant = participant
  if (type) attrs.type = type
  return { tag: 'receipt', attrs }
}

/** "It has arrived": plain, or `peer_msg`, or `sender` for a copy of what another own device wrote. */
export function deliveryReceipt(stanza: Stanza, own: boolean): Stanza {
  if (stanza.attrs.category === 'peer') return answerTo(stanza, 'peer_msg')
  if (!own) return answerTo(stanza)
  const receipt = answerTo(stanza, 'sender')
  if (stanza.attrs.recipient) receipt.attrs.recipient = stanza.attrs.recipient
  return receipt
}

export function readReceipt(stanza: Stanza, type: 'read' | 'played'): Stanza {
  const receipt = answerTo(stanza, type)
  receipt.attrs.t = Math.floor(Date.now() / 1000).toString()
  return receipt
}

/**
 * "I could not read it, send it again." The first request hopes that the sender's next attempt fits; from the
 * second on it brings keys for a new session.
 */
export function retryReceipt(
  stanza: Stanza,
  count: number,
  registrationId: number,
  keys: Stanza | undefined,
): Stanza {
  const receipt = answerTo(stanza, 'retry')
  if (stanza.attrs.recipient) receipt.attrs.recipient = stanza.attrs.recipient
  const retry = {
    count: count.toString(),
    id: stanza.attrs.id ?? '',
    t: stanza.attrs.t ?? '0',
    v: '1',
    error: '0',
  }
  receipt.content = [
    { tag: 'retry', attrs: retry },
    { tag: 'registration', attrs: {}, content: encodeBigEndian(registrationId) },
    ...(keys ? [keys] : []),
  ]
  return receipt
}

/** The `keys` child of a retry receipt. It takes a one-time prekey, as a key fetch does. */
export function keysNode(bundle: KeyBundle, deviceIdentity: Buffer | undefined): Stanza {
  const preKey = bundle.preKeys.shift()
  const { signedPreKey } = bundle
  const content: Stanza[] = [
    { tag: 'type', attrs: {}, content: KEY_TYPE },
    { tag: 'identity', attrs: {}, content: bundle.identity },
  ]
  if (preKey) content.push(keyNode('key', preKey))
  content.push(keyNode('skey', signedPreKey, signedPreKey.signature))
  if (deviceIdentity) content.push({ tag: 'device-identity', attrs: {}, content: deviceIdentity })
  return { tag: 'keys', attrs: {}, content }
}

function keyNode(tag: string, key: { id: number; publicKey: Buffer }, signature?: Buffer): Stanza {
  const content: Stanza[] = [
    { tag: 'id', attrs: {}, content: encodeBigEndian(key.id, 3) },
    { tag: 'value', attrs: {}, content: key.publicKey },
  ]
  if (signature) content.push({ tag: 'signature', attrs: {}, content: signature })
  return { tag, attrs: {}, content }
}

/** What a retry receipt asks for; `keys` when it brings a bundle to start a new session from. */
export function readRetry(receipt: Stanza): {
  count: number
  keys?: { bundle: KeyBundle; preKey: { id: number; publicKey: Buffer } | undefined }
} {
  const count = Number(getBinaryNodeChild(receipt, 'retry')?.attrs.count ?? 1)
  const session = extractE2ESessionFromRetryReceipt(receipt)
  if (!session) return { count }
  const { signedPreKey, preKey } = session
  const bundle: KeyBundle = {
    registrationId: session.registrationId,
    identity: raw(session.identityKey),
    signedPreKey: {
      id: signedPreKey.keyId,
      publicKey: raw(signedPreKey.publicKey),
      signature: Buffer.from(signedPreKey.signature),
    },
    preKeys: [],
  }
  return {
    count,
    keys: { bundle, preKey: preKey && { id: preKey.keyId, publicKey: raw(preKey.publicKey) } },
  }
}

/** Without the type byte that the reader has put in front. */
function raw(key: Uint8Array): Buffer {
  return Buffer.from(key.subarray(1))
}

/** All message ids a receipt speaks of. */
export function receiptIds(receipt: Stanza): string[] {
  const items = getBinaryNodeChildren(getBinaryNodeChild(receipt, 'list'), 'item')
  return [receipt.attrs.id, ...items.map((item) => item.attrs.id)].filter((id) => id !== undefined)
}
