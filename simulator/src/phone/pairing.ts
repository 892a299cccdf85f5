import { randomBytes } from 'node:crypto'
import { child, childBytes, stanza } from '../codec/stanza.ts'
import { newKeyPair } from '../curve.ts'
import { brokenSignature, type Vouched, vouch, withAccountKey } from '../directory/adv.ts'
import { LinkedDevice } from '../directory/linked-device.ts'
import { SERVER } from '../jid.ts'
import { Refusal } from '../refusal.ts'
import { nowSeconds } from '../router/envelope.ts'
import { newId } from '../router/stanza-id.ts'
import type { Account, Stanza } from '../types.ts'
import type { Companion } from './companion.ts'
import { openBundle, unwrapKey, wrapKey } from './pairing-code.ts'
import type { ScannedQr } from './qr.ts'

const REFS = 6
/** a client that has not signed by then never will */
const SIGN_DEADLINE_MS = 15_000

interface Linking {
  readonly account: Account
  readonly deviceId: number
  readonly stanzaId: string
  readonly vouched: Vouched
  readonly resolve: (device: LinkedDevice) => void
  readonly reject: (reason: Error) => void
  readonly deadline: NodeJS.Timeout
}

/** What pairing needs of the connection it happens on. */
export interface PairingWire {
  send(stanza: Stanza): void
  /** the client must come back with its new credentials */
  restart(): void
  refuse(violation: string): void
}

/** One unregistered client that waits for a phone to take it in. */
export class Pairing {
  readonly refs: readonly string[] = Array.from(
    { length: REFS },
    () => `2@${randomBytes(24).toString('base64')}`,
  )
  readonly companion: Companion
  readonly #wire: PairingWire
  #linking: Linking | undefined
  #wrappedEphemeral: Buffer | undefined
  #finish: { resolve: (bundle: Buffer) => void; reject: (reason: Error) => void } | undefined
  #codeRef = ''

  constructor(companion: Companion, wire: PairingWire) {
    this.companion = companion
    this.#wire = wire
  }

  /** Gives the client its refs, of which it makes QR codes. */
  offer(): void {
    const refs = this.refs.map((ref) => stanza('ref', {}, Buffer.from(ref)))
    this.#wire.send(
      stanza('iq', { id: newId(), from: SERVER, type: 'set', xmlns: 'md' }, [
        stanza('pair-device', {}, refs),
      ]),
    )
  }

  /** The phone has read the QR. Resolves with the linked device once the client has signed for itself. */
  scan(qr: ScannedQr, account: Account, deviceId: number): Promise<LinkedDevice> {
    const { noiseKey, keys } = this.companion
    if (!qr.noiseKey.equals(noiseKey) || !qr.identity.equals(keys.identity)) {
      throw new Refusal(400, 'the QR code names other keys than its client has')
    }
    return this.#link(account, deviceId, qr.advSecret)
  }

  /** Notes the client's half of a pairing code. */
  hello(request: Stanza): Stanza[] {
    this.#wrappedEphemeral = childBytes(request, 'link_code_pairing_wrapped_companion_ephemeral_pub')
    this.#codeRef = `3@${randomBytes(24).toString('base64')}`
    return [
      stanza('link_code_companion_reg', { stage: 'companion_hello' }, [
        stanza('link_code_pairing_ref', {}, Buffer.from(this.#codeRef)),
      ]),
    ]
  }

  /** The phone's user types the code. Resolves as `scan` does; 403 when the code is wrong. */
  async enterCode(code: string, account: Account, deviceId: () => number): Promise<LinkedDevice> {
    const wrapped = this.#wrappedEphemeral
    if (wrapped?.length !== 80) throw new Refusal(409, 'this client has not asked for a code')
    const ephemeral = newKeyPair()
    const [companionEphemeral, primaryWrapped] = await Promise.all([
      unwrapKey(code, wrapped),
      wrapKey(code, ephemeral.publicKey),
    ])
    const bundle = new Promise<Buffer>((resolve, reject) => {
      this.#finish = { resolve, reject }
    })
    this.#wire.send(
      stanza(
        'notification',
        { id: newId(), from: SERVER, type: 'link_code_companion_reg', t: nowSeconds() },
        [
          stanza('link_code_companion_reg', { stage: 'primary_hello' }, [
            stanza('link_code_pairing_wrapped_primary_ephemeral_pub', {}, primaryWrapped),
            stanza('primary_identity_pub', {}, account.primary.publicKey),
            stanza('link_code_pairing_ref', {}, Buffer.from(this.#codeRef)),
          ]),
        ],
      ),
    )
    const received = await bundle
    const secret = openOrRefuse(
      () => openBundle(received, ephemeral, companionEphemeral, account.primary).advSecret,
    )
    return this.#link(account, deviceId(), secret)
  }

  /** The client's sealed keys. False when nobody waits for them or a part is missing. */
  finish(request: Stanza): boolean {
    const bundle = childBytes(request, 'link_code_pairing_wrapped_key_bundle')
    const identity = childBytes(request, 'companion_identity_public')
    if (!bundle || !identity?.equals(this.companion.keys.identity) || !this.#finish) return false
    this.#finish.resolve(bundle)
    this.#finish = undefined
    return true
  }

  /** The client's answer to pair-success, with its own signature on the phone's word. */
  signed(answer: Stanza): void {
    const linking = this.#linking
    if (!linking || answer.attrs.id !== linking.stanzaId) return
    this.#linking = undefined
    clearTimeout(linking.deadline)
    const identity = childBytes(child(answer, 'pair-device-sign'), 'device-identity')
    const { account, deviceId, vouched } = linking
    const { keys, noiseKey } = this.companion
    const broken = identity
      ? brokenSignature(identity, account.primary.publicKey, keys.identity)
      : 'device-signature'
    if (!identity || broken) {
      this.#wire.refuse(broken ?? 'device-signature')
      linking.reject(new Refusal(502, `the client's ${broken} is wrong`))
      return
    }
    const device = new LinkedDevice({
      account,
      id: deviceId,
      keyIndex: vouched.keyIndex,
      noiseKey,
      keys,
      deviceIdentity: withAccountKey(identity, account.primary.publicKey),
    })
    account.devices.set(deviceId, device)
    linking.resolve(device)
    this.#wire.restart()
  }

  /** The connection is gone: whoever waits for this client learns it. */
  abandon(): void {
    const gone = new Refusal(410, 'the client went away while it was being linked')
    this.#finish?.reject(gone)
    if (!this.#linking) return
    clearTimeout(this.#linking.deadline)
    this.#linking.reject(gone)
  }

  #link(account: Account, deviceId: number, advSecret: Buffer): Promise<LinkedDevice> {
    if (this.#linking) throw new Refusal(409, 'this client is already being linked')
    const vouched = vouch(account, this.companion.keys.identity, deviceId, advSecret)
    const stanzaId = newId()
    const linked = new Promise<LinkedDevice>((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#linking = undefined
        reject(new Refusal(504, 'the client did not sign in time'))
      }, SIGN_DEADLINE_MS)
      this.#linking = { account, deviceId, stanzaId, vouched, resolve, reject, deadline }
    })
    this.#wire.send(
      stanza('iq', { id: stanzaId, from: SERVER, type: 'set', t: nowSeconds() }, [
        stanza('pair-success', {}, [
          stanza('device-identity', {}, vouched.sealed),
          stanza('biz', { name: account.name }),
          stanza('device', {
            jid: `${account.pn}:${deviceId}@s.whatsapp.net`,
            lid: `${account.lid}:${deviceId}@lid`,
          }),
          stanza('platform', { name: 'android' }),
        ]),
      ]),
    )
    return linked
  }
}

function openOrRefuse<T>(open: () => T): T {
  try {
    return open()
  } catch (cause) {
    throw Object.assign(new Refusal(403, 'the pairing code is wrong'), { cause })
  }
}
