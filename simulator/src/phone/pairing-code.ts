/** The phone's cryptography of a pairing code: the code hides two ephemeral keys, and they the rest. */
import { createCipheriv, createDecipheriv, hkdfSync, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { agree, type KeyPair } from '../curve.ts'

const ITERATIONS = 131_072
const SALT_BYTES = 32
const GCM_IV_BYTES = 12
const TAG_BYTES = 16

const stretch = promisify(pbkdf2)

const codeKey = (code: string, salt: Buffer): Promise<Buffer> => stretch(code, salt, ITERATIONS, 32, 'sha256')

/** Opens `salt ‖ iv ‖ AES-CTR(public key)`. A wrong code gives a wrong key, not an error. */
export async function unwrapKey(code: string, wrapped: Buffer): Promise<Buffer> {
  const salt = wrapped.subarray(0, SALT_BYTES)
  const cipher = createDecipheriv('aes-256-ctr', await codeKey(code, salt), wrapped.subarray(32, 48))
  return Buffer.concat([cipher.update(wrapped.subarray(48)), cipher.final()])
}

/** The inverse of unwrapKey, under a fresh salt. */
export async function wrapKey(code: string, publicKey: Buffer): Promise<Buffer> {
  const salt = randomBytes(SALT_BYTES)
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-ctr', await codeKey(code, salt), iv)
  return Buffer.concat([salt, iv, cipher.update(publicKey), cipher.final()])
}

export interface OpenedBundle {
  readonly companionIdentity: Buffer
  /** what the companion and the phone now both know; seals pair-success */
  readonly advSecret: Buffer
}

/** Opens the companion's key bundle. Throws when the code was wrong, or the bundle is not about this phone. */
export function openBundle(
  bundle: Buffer,
  ephemeral: KeyPair,
  companionEphemeral: Buffer,
  primary: KeyPair,
): OpenedBundle {
  const shared = agree(ephemeral.privateKey, companionEphemeral)
  const salt = bundle.subarray(0, SALT_BYTES)
  const iv = bundle.subarray(SALT_BYTES, SALT_BYTES + GCM_IV_BYTES)
  const sealed = bundle.subarray(SALT_BYTES + GCM_IV_BYTES, -TAG_BYTES)
  const key = Buffer.from(hkdfSync('sha256', shared, salt, 'link_code_pairing_key_bundle_encryption_key', 32))
  const decipher = createDecipheriv('aes-256-gcm', key, iv)
  decipher.setAuthTag(bundle.subarray(-TAG_BYTES))
  const plain = Buffer.concat([decipher.update(sealed), decipher.final()])
  const companionIdentity = plain.subarray(0, 32)
  if (!plain.subarray(32, 64).equals(primary.publicKey)) throw new Error('bundle names another phone')
  const secret = Buffer.concat([shared, agree(primary.privateKey, companionIdentity), plain.subarray(64, 96)])
  return { companionIdentity, advSecret: Buffer.from(hkdfSync('sha256', secret, '', 'adv_secret', 32)) }
}
