/**
 * What is encrypted at rest and what proves a node, from one 32-byte master secret: PALOMAR_SECRET_KEY (base64), or
 * a file made at the first start.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

export interface Secrets {
  /** AES-256-GCM: iv 12 ‖ tag 16 ‖ ciphertext. `context` binds the value to its place (session, type, id). */
  encrypt(plain: string | Uint8Array, context: string): Buffer
  /** Throws when the value was altered, moved to another place, or sealed with another secret. */
  decrypt(sealed: Uint8Array, context: string): Buffer
  /** the bearer token of a node, `<node id>.<signature>`: derived, so that it is known again after a restart */
  nodeToken(sessionId: string, nodeId: string): string
  /** the id of the node that the token belongs to; null when it is not one of this session's */
  verifyNodeToken(sessionId: string, token: string): string | null
}

export function createSecrets(master: Uint8Array): Secrets {
  if (master.length !== 32) throw new Error('the secret key must be 32 bytes')
  const sealKey = Buffer.from(hkdfSync('sha256', master, '', 'palomar seal v1', 32))
  const tokenKey = Buffer.from(hkdfSync('sha256', master, '', 'palomar node token v1', 32))
  const nodeToken = (sessionId: string, nodeId: string) =>
    `${nodeId}.${createHmac('sha256', tokenKey).update(`${sessionId}.${nodeId}`).digest('base64url')}`
  return {
    encrypt(plain, context) {
      const iv = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', sealKey, iv).setAAD(Buffer.from(context))
      const body = Buffer.concat([cipher.update(plain), cipher.final()])
      return Buffer.concat([iv, cipher.getAuthTag(), body])
    },
    decrypt(sealed, context) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      const decipher = createDecipheriv('aes-256-gcm', sealKey, bytes.subarray(0, 12), { authTagLength: 16 })
      decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(12, 28))
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()])
    },
    nodeToken,
    verifyNodeToken(sessionId, token) {
      const nodeId = token.slice(0, token.indexOf('.'))
      const expected = Buffer.from(nodeToken(sessionId, nodeId))
      const given = Buffer.from(token)
      return expected.length === given.length && timingSafeEqual(expected, given) ? nodeId : null
    },
  }
}

/** The master secret: the configured one, or the one kept in `<dataDir>/secret.key` (mode 0600), made when missing. */
export function loadMasterSecret(configured: string | undefined, dataDir: string): Buffer {
  if (configured) return Buffer.from(configured, 'base64')
  const file = path.join(dataDir, 'secret.key')
  if (existsSync(file)) return Buffer.from(readFileSync(file, 'utf8').trim(), 'base64')
  mkdirSync(dataDir, { recursive: true })
  const secret = randomBytes(32)
  writeFileSync(file, `${secret.toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
  return secret
}
