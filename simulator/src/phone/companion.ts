import type { proto } from '@whiskeysockets/baileys'
import { isSigned } from '../directory/key-bundle.ts'
import type { KeyBundle } from '../types.ts'

/** What a client tells of itself when it asks to be linked. */
export interface Companion {
  readonly noiseKey: Buffer
  readonly keys: KeyBundle
}

/** Reads the registration's pairing data; a string says what is wrong with it. */
export function readCompanion(payload: proto.IClientPayload, noiseKey: Buffer): Companion | string {
  const data = payload.devicePairingData
  const registration = Buffer.from(data?.eRegid ?? [])
  const identity = Buffer.from(data?.eIdent ?? [])
  const id = Buffer.from(data?.eSkeyId ?? [])
  const publicKey = Buffer.from(data?.eSkeyVal ?? [])
  const signature = Buffer.from(data?.eSkeySig ?? [])
  if (registration.length !== 4 || id.length !== 3) return 'registration-data'
  const signedPreKey = { id: id.readUIntBE(0, 3), publicKey, signature }
  if (!isSigned(identity, signedPreKey)) return 'signed-prekey-signature'
  return {
    noiseKey,
    keys: { registrationId: registration.readUInt32BE(0), identity, signedPreKey, preKeys: [] },
  }
}
