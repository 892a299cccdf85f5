/** ADV: how a phone vouches for a linked device, and the device for itself. */
import { createHmac, randomInt } from 'node:crypto'
import { proto, WA_ADV_ACCOUNT_SIG_PREFIX, WA_ADV_DEVICE_SIG_PREFIX } from '@whiskeysockets/baileys'
import { sign, verify } from '../curve.ts'
import type { Account } from '../types.ts'

export interface Vouched {
  /** encoded ADVDeviceIdentity */
  readonly details: Uint8Array
  readonly accountSignature: Buffer
  /** encoded ADVSignedDeviceIdentityHMAC, for pair-success */
  readonly sealed: Uint8Array
  readonly keyIndex: number
}

/** The phone signs a companion's identity key; the HMAC proves that it has seen the companion's secret. */
export function vouch(
  account: Account,
  companionIdentity: Buffer,
  keyIndex: number,
  secret: Buffer,
): Vouched {
  const details = proto.ADVDeviceIdentity.encode({
    rawId: randomInt(2 ** 31),
    timestamp: Math.floor(Date.now() / 1000),
    keyIndex,
    accountType: proto.ADVEncryptionType.E2EE,
    deviceType: proto.ADVEncryptionType.E2EE,
  }).finish()
  const accountSignature = sign(
    account.primary.privateKey,
    Buffer.concat([WA_ADV_ACCOUNT_SIG_PREFIX, details, companionIdentity]),
  )
  const signed = proto.ADVSignedDeviceIdentity.encode({
    details,
    accountSignatureKey: account.primary.publicKey,
    accountSignature,
  }).finish()
  const sealed = proto.ADVSignedDeviceIdentityHMAC.encode({
    details: signed,
    hmac: createHmac('sha256', secret).update(signed).digest(),
    accountType: proto.ADVEncryptionType.E2EE,
  }).finish()
  return { details, accountSignature, sealed, keyIndex }
}

/** The first broken signature of an encoded ADVSignedDeviceIdentity, undefined when both hold. */
export function brokenSignature(
  encoded: Uint8Array,
  accountKey: Buffer,
  companionIdentity: Buffer,
): 'account-signature' | 'device-signature' | undefined {
  const { details, accountSignature, deviceSignature } = proto.ADVSignedDeviceIdentity.decode(encoded)
  if (!details || !accountSignature) return 'account-signature'
  const vouchedFor = Buffer.concat([WA_ADV_ACCOUNT_SIG_PREFIX, details, companionIdentity])
  if (!verify(accountKey, vouchedFor, accountSignature)) return 'account-signature'
  const claimed = Buffer.concat([WA_ADV_DEVICE_SIG_PREFIX, details, companionIdentity, accountKey])
  if (!deviceSignature || !verify(companionIdentity, claimed, deviceSignature)) return 'device-signature'
  return undefined
}

/** The same identity with the account's key put back, as key fetches and messages carry it. */
export function withAccountKey(encoded: Uint8Array, accountKey: Buffer): Buffer {
  const identity = proto.ADVSignedDeviceIdentity.decode(encoded)
  identity.accountSignatureKey = accountKey
  return Buffer.from(proto.ADVSignedDeviceIdentity.encode(identity).finish())
}
