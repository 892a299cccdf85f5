import { createHash, hkdfSync } from 'node:crypto'
import { NOISE_MODE, NOISE_WA_HEADER, proto } from '@whiskeysockets/baileys'
import { agree, newKeyPair } from '../curve.ts'
import type { ServerIdentity } from './certificate.ts'
import { CounterCipher } from './cipher.ts'

/** The two ciphers of an established connection, seen from the server. */
export interface Transport {
  readonly incoming: CounterCipher
  readonly outgoing: CounterCipher
}

export interface HandshakeResult {
  /** the client's static Noise key: what a login is authenticated by */
  readonly clientStatic: Buffer
  /** encoded ClientPayload */
  readonly payload: Buffer
  readonly transport: Transport
}

/** The server's half of Noise_XX_25519_AESGCM_SHA256: hello, then finish, each once and in this order. */
export class ServerHandshake {
  readonly #identity: ServerIdentity
  readonly #ephemeral = newKeyPair()
  #hash: Buffer
  #chainingKey: Buffer
  #cipher: CounterCipher

  constructor(identity: ServerIdentity) {
    this.#identity = identity
    // the mode string is exactly 32 bytes, so it is its own hash
    this.#hash = Buffer.from(NOISE_MODE)
    this.#chainingKey = this.#hash
    this.#cipher = new CounterCipher(this.#hash)
    this.#mixHash(NOISE_WA_HEADER)
  }

  /** Takes the encoded client hello, gives the encoded server hello. Throws on a malformed one. */
  hello(frame: Uint8Array): Uint8Array {
    const clientEphemeral = proto.HandshakeMessage.decode(frame).clientHello?.ephemeral
    if (clientEphemeral?.length !== 32) throw new Error('client hello without a 32-byte ephemeral key')
    this.#mixHash(clientEphemeral)
    this.#mixHash(this.#ephemeral.publicKey)
    this.#mixKey(agree(this.#ephemeral.privateKey, clientEphemeral))
    const sealedStatic = this.#seal(this.#identity.staticKey.publicKey)
    this.#mixKey(agree(this.#identity.staticKey.privateKey, clientEphemeral))
    const payload = this.#seal(this.#identity.chain)
    return proto.HandshakeMessage.encode({
      serverHello: { ephemeral: this.#ephemeral.publicKey, static: sealedStatic, payload },
    }).finish()
  }

  /** Takes the encoded client finish. Throws when it does not decrypt. */
  finish(frame: Uint8Array): HandshakeResult {
    const message = proto.HandshakeMessage.decode(frame).clientFinish
    if (!message?.static || !message.payload) throw new Error('client finish without static or payload')
    const clientStatic = this.#open(message.static)
    this.#mixKey(agree(this.#ephemeral.privateKey, clientStatic))
    const payload = this.#open(message.payload)
    const [toServer, toClient] = this.#derive(Buffer.alloc(0))
    return {
      clientStatic,
      payload,
      transport: { incoming: new CounterCipher(toServer), outgoing: new CounterCipher(toClient) },
    }
  }

  #mixHash(data: Uint8Array): void {
    this.#hash = createHash('sha256').update(this.#hash).update(data).digest()
  }

  #mixKey(secret: Buffer): void {
    const [chainingKey, key] = this.#derive(secret)
    this.#chainingKey = chainingKey
    this.#cipher = new CounterCipher(key)
  }

  #derive(secret: Buffer): [Buffer, Buffer] {
    const bytes = Buffer.from(hkdfSync('sha256', secret, this.#chainingKey, '', 64))
    return [bytes.subarray(0, 32), bytes.subarray(32)]
  }

  #seal(plaintext: Uint8Array): Buffer {
    const sealed = this.#cipher.encrypt(plaintext, this.#hash)
    this.#mixHash(sealed)
    return sealed
  }

  #open(sealed: Uint8Array): Buffer {
    const plaintext = this.#cipher.decrypt(sealed, this.#hash)
    this.#mixHash(sealed)
    return plaintext
  }
}
