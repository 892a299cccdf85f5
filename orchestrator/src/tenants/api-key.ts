/** The form of an API key: `plm_` + 43 base62 characters + 6 of checksum. Only its sha256 is ever stored. */
import { createHash, randomBytes } from 'node:crypto'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

function base62(bytes: Uint8Array, length: number): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  let text = ''
  while (text.length < length) {
    text += alphabet[Number(value % 62n)]
    value /= 62n
  }
  return text
}

const checksum = (body: string) => base62(createHash('sha256').update(body).digest(), 6)

/** A new key: 256 bits of randomness, with a checksum so that a truncated or mistyped one is known without a look-up. */
export function generateApiKey(): string {
  const body = `plm_${base62(randomBytes(32), 43)}`
  return body + checksum(body)
}

/** What lists show of a key. */
export const apiKeyPrefix = (key: string) => key.slice(0, 10)

export const hashApiKey = (key: string) => createHash('sha256').update(key).digest()

/** False only for a string that claims our form and cannot be one of ours; keys set by the operator have any form. */
export function isPlausibleApiKey(key: string): boolean {
  if (!key.startsWith('plm_')) return key.length >= 24 && key.length <= 512
  return key.length === 53 && checksum(key.slice(0, 47)) === key.slice(47)
}
