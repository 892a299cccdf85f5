/** Curve25519 with raw 32-byte keys: agreement and XEdDSA signatures, as WhatsApp uses them. */
import {
  calculateAgreement,
  calculateSignature,
  generateKeyPair,
  verifySignature,
} from 'libsignal/src/curve.js'

export interface KeyPair {
  readonly publicKey: Buffer
  readonly privateKey: Buffer
}

const DJB = Buffer.from([5])

/** The 33-byte form (type byte 5 + key) that Signal signs and libsignal expects. */
export const typed = (publicKey: Uint8Array): Buffer => Buffer.concat([DJB, publicKey])

export function newKeyPair(): KeyPair {
  const pair = generateKeyPair()
  return { publicKey: Buffer.from(pair.pubKey.subarray(1)), privateKey: Buffer.from(pair.privKey) }
}

/** Shared secret, 32 bytes. Throws on keys that are not 32 bytes long. */
export const agree = (privateKey: Buffer, publicKey: Uint8Array): Buffer =>
  Buffer.from(calculateAgreement(typed(publicKey), privateKey))

/** XEdDSA signature, 64 bytes. */
export const sign = (privateKey: Buffer, message: Uint8Array): Buffer =>
  Buffer.from(calculateSignature(privateKey, message))

/** True only for a good signature; malformed keys and signatures are simply not good. */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  return verifySignature(typed(publicKey), message, signature)
}
