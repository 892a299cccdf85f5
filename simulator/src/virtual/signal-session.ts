/** Encrypting and decrypting between one device and its peers, each known by one canonical address. */
import { ProtocolAddress, SessionBuilder, SessionCipher } from 'libsignal'
import { typed } from '../curve.ts'
import type { KeyBundle } from '../types.ts'
import { adoptEntry, copyEntry, type SessionEntry } from './session-record.ts'
import type { SignalStore } from './signal-store.ts'

export type CipherType = 'pkmsg' | 'msg'
export interface Ciphertext {
  type: CipherType
  body: Buffer
}

interface CipherInternals {
  doDecryptWhisperMessage(data: Buffer, session: SessionEntry): Promise<Buffer>
}

/**
 * libsignal tries a message against every session of a record and lets each failed try change the session it
 * was tried on, which breaks the healthy newest session when a peer still writes in an older one. Here each
 * try has its own copy. A key that was already used outranks the other failures: the message is a repeat.
 */
class CarefulCipher extends SessionCipher {
  async decryptWithSessions(data: Buffer, sessions: SessionEntry[]) {
    let failure: unknown = new Error('No session')
    for (const session of sessions) {
      const attempt = copyEntry(session)
      try {
        const plaintext = await (this as unknown as CipherInternals).doDecryptWhisperMessage(data, attempt)
        adoptEntry(session, attempt)
        session.indexInfo.used = Date.now()
        return { session, plaintext }
      } catch (error) {
        if (!isRepeat(failure)) failure = error
      }
    }
    throw failure
  }
}

/** Whether decryption failed because this very ciphertext (or its key) had been used before. */
export function isRepeat(error: unknown): boolean {
  return error instanceof Error && error.name === 'MessageCounterError'
}

export interface SignalSessions {
  has(peer: string, identity: Buffer): boolean
  /** starts a new session from fetched keys; an open one is closed but still decrypts */
  start(peer: string, bundle: KeyBundle, preKey: { id: number; publicKey: Buffer } | undefined): Promise<void>
  /** throws when there is no session */
  encrypt(peer: string, plaintext: Uint8Array): Promise<Ciphertext>
  /** throws when the message is not for us, was tampered with, or repeats (see `isRepeat`) */
  decrypt(peer: string, type: CipherType, body: Uint8Array): Promise<Buffer>
}

/**
 * Sessions of one device. `owner` names the device within this process: libsignal's job queue is global and
 * keyed by address, and two devices that talk to the same peer must not wait for each other.
 */
export function createSignalSessions(store: SignalStore, owner: string): SignalSessions {
  function address(peer: string): ProtocolAddress {
    const [user = '', device = '0'] = peer.split('.')
    return new ProtocolAddress(`${owner}>${user}`, Number(device))
  }
  return {
    has: (peer, identity) => store.hasSession(address(peer).toString(), identity),
    async start(peer, bundle, preKey) {
      const session = {
        registrationId: bundle.registrationId,
        identityKey: typed(bundle.identity),
        signedPreKey: {
          keyId: bundle.signedPreKey.id,
          publicKey: typed(bundle.signedPreKey.publicKey),
          signature: bundle.signedPreKey.signature,
        },
        preKey: preKey && { keyId: preKey.id, publicKey: typed(preKey.publicKey) },
      }
      // libsignal accepts a bundle without a one-time prekey; only its typing asks for one.
      type Outgoing = Parameters<SessionBuilder['initOutgoing']>[0]
      await new SessionBuilder(store, address(peer)).initOutgoing(session as Outgoing)
    },
    async encrypt(peer, plaintext) {
      const { type, body } = await new CarefulCipher(store, address(peer)).encrypt(plaintext)
      return { type: type === 3 ? 'pkmsg' : 'msg', body: body as unknown as Buffer }
    },
    async decrypt(peer, type, body) {
      const cipher = new CarefulCipher(store, address(peer))
      const ciphertext = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
      if (type === 'pkmsg') return cipher.decryptPreKeyWhisperMessage(ciphertext)
      return cipher.decryptWhisperMessage(ciphertext)
    },
  }
}
