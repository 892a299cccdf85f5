/** One device's Signal keys and sessions, in memory. */
import { randomInt } from 'node:crypto'
import type { SessionRecord, SignalStorage } from 'libsignal'
import { newKeyPair, sign, typed } from '../curve.ts'
import type { KeyBundle } from '../types.ts'
import { quietLibsignal } from './quiet-libsignal.ts'
import { copyRecord, openIdentity, pruneRecord } from './session-record.ts'

/** 33-byte public key (0x05 first) and 32-byte private key, as libsignal has them. */
export interface SignalKeyPair {
  pubKey: Buffer
  privKey: Buffer
}

export interface SignalStore extends SignalStorage {
  /** public half of the keys; signed prekey and one-time prekeys come into being when they are read */
  readonly bundle: KeyBundle
  /** whether a message can be sent to `address` without a key fetch: an open session with this identity (32 bytes) */
  hasSession(address: string, identity: Buffer): boolean
  loseSessions(): void
}

const SIGNED_PREKEY_ID = 1
const PREKEY_BATCH = 4

function newSignalKeyPair(): SignalKeyPair {
  const { publicKey, privateKey } = newKeyPair()
  return { pubKey: typed(publicKey), privKey: privateKey }
}

/**
 * An empty store for a device with this identity key pair (raw 32-byte keys). Making it costs nothing: a
 * signature takes 7 ms, so keys are only made when somebody fetches them.
 */
export function createSignalStore(identity: { publicKey: Buffer; privateKey: Buffer }): SignalStore {
  quietLibsignal()
  const own: SignalKeyPair = { pubKey: typed(identity.publicKey), privKey: identity.privateKey }
  const registrationId = randomInt(1, 0x3fff)
  const sessions = new Map<string, SessionRecord>()
  const preKeys = new Map<number, SignalKeyPair>()
  const unclaimed: { id: number; publicKey: Buffer }[] = []
  let lastPreKeyId = 0
  let signed: (SignalKeyPair & { signature: Buffer }) | undefined

  function signedPreKey() {
    if (!signed) {
      const pair = newSignalKeyPair()
      signed = { ...pair, signature: sign(own.privKey, pair.pubKey) }
    }
    return signed
  }

  function morePreKeys(): void {
    for (let n = 0; n < PREKEY_BATCH; n++) {
      const pair = newSignalKeyPair()
      const id = ++lastPreKeyId
      preKeys.set(id, pair)
      unclaimed.push({ id, publicKey: pair.pubKey.subarray(1) })
    }
  }

  const bundle: KeyBundle = {
    registrationId,
    identity: own.pubKey.subarray(1),
    get signedPreKey() {
      const { pubKey, signature } = signedPreKey()
      return { id: SIGNED_PREKEY_ID, publicKey: pubKey.subarray(1), signature }
    },
    /** the directory shifts its keys off this very array; reading it refills it, so it is never seen empty */
    get preKeys() {
      if (!unclaimed.length) morePreKeys()
      return unclaimed
    },
  }

  return {
    bundle,
    hasSession(address, peerIdentity) {
      const record = sessions.get(address)
      return record !== undefined && openIdentity(record)?.subarray(1).equals(peerIdentity) === true
    },
    loseSessions: () => sessions.clear(),
    async loadSession(address) {
      const record = sessions.get(address)
      return record && copyRecord(record)
    },
    async storeSession(address, record) {
      pruneRecord(record)
      sessions.set(address, record)
    },
    // Trust on first use, as every WhatsApp client does unless its owner verifies the safety number.
    isTrustedIdentity: () => true,
    loadPreKey: async (id) => preKeys.get(Number(id)),
    removePreKey: (id) => {
      preKeys.delete(id)
    },
    loadSignedPreKey: signedPreKey,
    getOurRegistrationId: () => registrationId,
    getOurIdentity: () => own,
  }
}
