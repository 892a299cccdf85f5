import type { Counters } from '../counters.ts'
import { deviceJid } from '../jid.ts'
import type { Device, KeyBundle, ServerPort } from '../types.ts'
import { isSigned } from './key-bundle.ts'
import { LinkedDevice } from './linked-device.ts'

/** below this many one-time prekeys a client is told to upload; the clients' own threshold */
const LOW = 5

/** The store of uploaded keys; every one-time prekey leaves it once. */
export class PreKeys {
  readonly #counters: Counters
  readonly #onLow: (device: LinkedDevice, left: number) => void

  constructor(counters: Counters, onLow: (device: LinkedDevice, left: number) => void) {
    this.#counters = counters
    this.#onLow = onLow
  }

  /** Adds an upload to a device's keys; false (and a violation) when it must be refused. */
  upload(device: LinkedDevice, upload: KeyBundle): boolean {
    const { keys } = device
    if (!upload.identity.equals(keys.identity)) return this.#refuse('identity-changed', device)
    if (!this.rotate(device, upload.signedPreKey)) return false
    const known = new Set(keys.preKeys.map((key) => key.id))
    const fresh = upload.preKeys.filter((key) => !known.has(key.id))
    keys.registrationId = upload.registrationId
    keys.preKeys.push(...fresh)
    device.warnedLow = false
    return true
  }

  /** Replaces the signed prekey; false (and a violation) when its signature is not the identity's. */
  rotate(device: LinkedDevice, signedPreKey: KeyBundle['signedPreKey']): boolean {
    // the same key comes with every upload, and checking costs milliseconds
    const known = device.keys.signedPreKey
    const unchanged =
      known.id === signedPreKey.id &&
      known.publicKey.equals(signedPreKey.publicKey) &&
      known.signature.equals(signedPreKey.signature)
    if (unchanged) return true
    if (!isSigned(device.keys.identity, signedPreKey)) return this.#refuse('signed-prekey-signature', device)
    device.keys.signedPreKey = signedPreKey
    return true
  }

  /** A device's bundle and its next one-time prekey, which is used up. Throws when it has uploaded nothing. */
  take(device: Device): ReturnType<ServerPort['takeBundle']> {
    const bundle = device.keys
    if (!bundle) throw new Error(`${deviceJid(device, 'pn')} has no keys`)
    const preKey = bundle.preKeys.shift()
    if (device instanceof LinkedDevice && bundle.preKeys.length < LOW && !device.warnedLow) {
      device.warnedLow = true
      this.#onLow(device, bundle.preKeys.length)
    }
    return preKey ? { bundle, preKey } : { bundle }
  }

  #refuse(kind: string, device: Device): false {
    this.#counters.violation(kind, deviceJid(device, 'pn'), 'key upload refused')
    return false
  }
}
