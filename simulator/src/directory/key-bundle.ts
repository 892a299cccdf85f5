/** Key bundles on the wire: what a client uploads and what it fetches. */
import { createHash } from 'node:crypto'
import { child, childBytes, children, stanza } from '../codec/stanza.ts'
import { typed, verify } from '../curve.ts'
import type { Device, KeyBundle, Stanza } from '../types.ts'

const KEY_TYPE = Buffer.from([5])

const bigEndian = (value: number, size: number): Buffer => {
  const out = Buffer.alloc(size)
  out.writeUIntBE(value, 0, size)
  return out
}

const readId = (node: Stanza | undefined): number | undefined => {
  const id = childBytes(node, 'id')
  return id?.length === 3 ? id.readUIntBE(0, 3) : undefined
}

type SignedPreKey = KeyBundle['signedPreKey']
type PreKey = KeyBundle['preKeys'][number]

/** A signed prekey is good when the identity signed its 33-byte form. */
export const isSigned = (identity: Buffer, key: SignedPreKey): boolean =>
  verify(identity, typed(key.publicKey), key.signature)

/** `skey` as uploaded; undefined when a part is missing or of a wrong length. */
export function readSignedPreKey(node: Stanza | undefined): SignedPreKey | undefined {
  const id = readId(node)
  const publicKey = childBytes(node, 'value')
  const signature = childBytes(node, 'signature')
  if (id === undefined || publicKey?.length !== 32 || signature?.length !== 64) return undefined
  return { id, publicKey, signature }
}

/** The uploaded `iq`; undefined when it is malformed anywhere. */
export function readUpload(iq: Stanza): KeyBundle | undefined {
  const registration = childBytes(iq, 'registration')
  const identity = childBytes(iq, 'identity')
  const signedPreKey = readSignedPreKey(child(iq, 'skey'))
  if (registration?.length !== 4 || identity?.length !== 32 || !signedPreKey) return undefined
  const preKeys: PreKey[] = []
  for (const key of children(child(iq, 'list'))) {
    const id = readId(key)
    const publicKey = childBytes(key, 'value')
    if (id === undefined || publicKey?.length !== 32) return undefined
    preKeys.push({ id, publicKey })
  }
  return { registrationId: registration.readUInt32BE(0), identity, signedPreKey, preKeys }
}

/** The children of a `user` in a key fetch's answer. */
export function bundleNodes(device: Device, bundle: KeyBundle, preKey: PreKey | undefined): Stanza[] {
  const { signedPreKey } = bundle
  const nodes = [
    stanza('registration', {}, bigEndian(bundle.registrationId, 4)),
    stanza('type', {}, KEY_TYPE),
    stanza('identity', {}, bundle.identity),
    stanza('skey', {}, [
      stanza('id', {}, bigEndian(signedPreKey.id, 3)),
      stanza('value', {}, signedPreKey.publicKey),
      stanza('signature', {}, signedPreKey.signature),
    ]),
  ]
  if (preKey) {
    const key = [stanza('id', {}, bigEndian(preKey.id, 3)), stanza('value', {}, preKey.publicKey)]
    nodes.push(stanza('key', {}, key))
  }
  if (device.deviceIdentity) nodes.push(stanza('device-identity', {}, device.deviceIdentity))
  return nodes
}

/** The server's view of a bundle, for the client to compare with its own. */
export function digestNode({ registrationId, identity, signedPreKey }: KeyBundle): Stanza {
  const hash = createHash('sha1')
    .update(identity)
    .update(signedPreKey.publicKey)
    .update(signedPreKey.signature)
  return stanza('digest', {}, [
    stanza('registration', {}, bigEndian(registrationId, 4)),
    stanza('type', {}, KEY_TYPE),
    stanza('identity', {}, identity),
    stanza('skey', {}, [stanza('id', {}, bigEndian(signedPreKey.id, 3))]),
    stanza('hash', {}, hash.digest()),
  ])
}
