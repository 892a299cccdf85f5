import { createCipheriv, createDecipheriv } from 'node:crypto'

const TAG_BYTES = 16
const EMPTY = Buffer.alloc(0)

/** AES-256-GCM under one key, its IV a counter that starts at 0; the tag follows the ciphertext. */
export class CounterCipher {
  readonly #key: Uint8Array
  readonly #iv = Buffer.alloc(12)
  #counter = 0

  constructor(key: Uint8Array) {
    this.#key = key
  }

  encrypt(plaintext: Uint8Array, aad: Uint8Array = EMPTY): Buffer {
    const cipher = createCipheriv('aes-256-gcm', this.#key, this.#nextIv())
    cipher.setAAD(aad)
    return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  }

  /** Throws when the tag does not fit: wrong key, wrong order, or altered bytes. */
  decrypt(sealed: Uint8Array, aad: Uint8Array = EMPTY): Buffer {
    const end = sealed.length - TAG_BYTES
    if (end < 0) throw new Error('sealed bytes are shorter than their tag')
    const decipher = createDecipheriv('aes-256-gcm', this.#key, this.#nextIv())
    decipher.setAAD(aad)
    decipher.setAuthTag(sealed.subarray(end))
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()])
  }

  #nextIv(): Buffer {
    this.#iv.writeUInt32BE(this.#counter++, 8)
    return this.#iv
  }
}
