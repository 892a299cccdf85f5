import type { QrResult } from '../../contract/index.ts'
import { NodeError } from '../errors.ts'

/** Baileys shows the first code for a minute, each later one for 20 s, and WhatsApp gives six */
const FIRST_MS = 60_000
const LATER_MS = 20_000
const ATTEMPT_MS = FIRST_MS + 5 * LATER_MS

/** One attempt to be linked: its QR codes, and those who wait for one. */
export class Pairing {
  readonly #now: () => number
  #waiters: ((qr: QrResult | undefined) => void)[] = []
  #current: QrResult | undefined
  #shown = 0
  #startedAt: number

  constructor(now: () => number = Date.now) {
    this.#now = now
    this.#startedAt = now()
  }

  /** when WhatsApp's codes run out, and a pairing code with them */
  get endsAt(): Date {
    return new Date(this.#startedAt + ATTEMPT_MS)
  }

  get current(): QrResult | undefined {
    return this.#current && Date.parse(this.#current.expires_at) > this.#now() ? this.#current : undefined
  }

  /** a new attempt: codes of the one before are worth nothing */
  restart(): void {
    this.#current = undefined
    this.#shown = 0
    this.#startedAt = this.#now()
  }

  offer(text: string): QrResult {
    if (this.#shown === 0) this.#startedAt = this.#now()
    const life = this.#shown === 0 ? FIRST_MS : LATER_MS
    this.#shown += 1
    const qr = { text, expires_at: new Date(this.#now() + life).toISOString() }
    this.#current = qr
    this.#wake(qr)
    return qr
  }

  /** no more codes will come */
  end(): void {
    this.#current = undefined
    this.#wake(undefined)
  }

  /** the code that is shown now, or the next one */
  async wait(ms: number): Promise<QrResult> {
    if (this.current) return this.current
    const qr = await new Promise<QrResult | undefined>((resolve) => {
      const timer = setTimeout(() => done(undefined), ms)
      const done = (qr: QrResult | undefined) => {
        clearTimeout(timer)
        this.#waiters = this.#waiters.filter((waiter) => waiter !== done)
        resolve(qr)
      }
      this.#waiters.push(done)
    })
    if (!qr) throw new NodeError('pairing_unavailable')
    return qr
  }

  #wake(qr: QrResult | undefined): void {
    for (const waiter of [...this.#waiters]) waiter(qr)
  }
}
