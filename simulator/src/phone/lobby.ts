import { Refusal } from '../refusal.ts'
import type { Pairing } from './pairing.ts'

/** a code reaches the person before the client's request reaches the server only by a hair */
const CODE_DEADLINE_MS = 10_000

/** The clients that wait to be linked, found by QR ref or by the phone they asked a code for. */
export class Lobby {
  readonly #byRef = new Map<string, Pairing>()
  readonly #byPhone = new Map<string, Pairing>()
  readonly #expected = new Map<string, Set<(pairing: Pairing) => void>>()

  enter(pairing: Pairing): void {
    for (const ref of pairing.refs) this.#byRef.set(ref, pairing)
  }

  leave(pairing: Pairing): void {
    for (const ref of pairing.refs) this.#byRef.delete(ref)
    for (const [phone, each] of this.#byPhone) if (each === pairing) this.#byPhone.delete(phone)
    pairing.abandon()
  }

  /** The client of a QR. 404 when it is gone. */
  byRef(ref: string): Pairing {
    const pairing = this.#byRef.get(ref)
    if (!pairing) throw new Refusal(404, 'no client waits with this QR code')
    return pairing
  }

  askedForCode(phone: string, pairing: Pairing): void {
    this.#byPhone.set(phone, pairing)
    for (const resolve of this.#expected.get(phone) ?? []) resolve(pairing)
    this.#expected.delete(phone)
  }

  /** The client that asked for a code for this phone, or the next to do so. 404 when none does in time. */
  byPhone(phone: string): Promise<Pairing> {
    const known = this.#byPhone.get(phone)
    if (known) return Promise.resolve(known)
    return new Promise((resolve, reject) => {
      const waiting = this.#expected.get(phone) ?? new Set()
      this.#expected.set(phone, waiting)
      const arrived = (pairing: Pairing) => {
        clearTimeout(deadline)
        resolve(pairing)
      }
      const deadline = setTimeout(() => {
        waiting.delete(arrived)
        reject(new Refusal(404, `no client has asked for a code for ${phone}`))
      }, CODE_DEADLINE_MS)
      waiting.add(arrived)
    })
  }
}
