import type { LinkedDevice } from '../directory/linked-device.ts'
import type { Stanza } from '../types.ts'
import type { Faults } from './faults.ts'
import type { FaultPlan } from './plan.ts'
import type { Random } from './random.ts'

const ROUTED = new Set(['message', 'receipt', 'notification'])
const REORDER_MS = 200

export type Breakage = 'half_open' | 'tcp_reset' | 'mid_frame'

/** What an outlet can do to its connection. */
export interface Breakable {
  write(stanza: Stanza): void
  drop(how: Breakage): void
  end(code: number): void
}

/** A client's way out of the server: straight through, or through the faults in force. */
export class Outlet {
  readonly #faults: Faults
  readonly #device: LinkedDevice
  readonly #connection: Breakable
  readonly #random: Random
  /** delayed stanzas in their order, with the time (performance.now) each is due */
  readonly #queue: { due: number; stanza: Stanza }[] = []

  constructor(faults: Faults, device: LinkedDevice, connection: Breakable) {
    this.#faults = faults
    this.#device = device
    this.#connection = connection
    this.#random = faults.randomFor(device)
  }

  send(stanza: Stanza): void {
    const plan = this.#faults.planFor(this.#device)
    if (!plan) {
      this.#inOrder(stanza, 0)
      return
    }
    const routed = ROUTED.has(stanza.tag)
    if ((routed || stanza.tag === 'ack') && this.#breaks(plan)) return
    if (stanza.tag === 'ack' && stanza.attrs.class === 'message' && this.#happens(plan.missing_ack)) return
    if (routed && this.#happens(plan.drop)) {
      this.#faults.noteDropped(stanza)
      return
    }
    this.#delayed(stanza, plan)
    if (routed && this.#happens(plan.repeat)) this.#delayed(stanza, plan)
  }

  /** The error that the next message is to be refused with. */
  ackError(): number | undefined {
    const error = this.#faults.planFor(this.#device)?.ack_error
    return error && this.#happens(error.rate) ? error.code : undefined
  }

  #delayed(stanza: Stanza, plan: FaultPlan): void {
    const delay = plan.latency_ms + (plan.jitter_ms > 0 ? this.#random() * plan.jitter_ms : 0)
    if (stanza.tag !== 'receipt') {
      this.#inOrder(stanza, delay)
      return
    }
    const late =
      plan.receipt_delay_ms + (this.#happens(plan.receipt_reorder) ? this.#random() * REORDER_MS : 0)
    if (late > 0) setTimeout(() => this.#connection.write(stanza), delay + late).unref()
    else this.#inOrder(stanza, delay)
  }

  #inOrder(stanza: Stanza, delay: number): void {
    const last = this.#queue.at(-1)
    if (!last && delay === 0) {
      this.#connection.write(stanza)
      return
    }
    this.#queue.push({ due: Math.max(last?.due ?? 0, performance.now() + delay), stanza })
    if (!last) setTimeout(() => this.#flush(), delay).unref()
  }

  #flush(): void {
    const now = performance.now()
    let sent = 0
    for (const { due, stanza } of this.#queue) {
      if (due > now) break
      this.#connection.write(stanza)
      sent++
    }
    this.#queue.splice(0, sent)
    const next = this.#queue[0]
    if (next) setTimeout(() => this.#flush(), Math.max(1, next.due - now)).unref()
  }

  #breaks(plan: FaultPlan): boolean {
    for (const how of ['half_open', 'tcp_reset', 'mid_frame'] as const) {
      if (!this.#happens(plan[how])) continue
      this.#connection.drop(how)
      return true
    }
    if (!plan.stream_error || !this.#happens(plan.stream_error.rate)) return false
    this.#connection.end(plan.stream_error.code)
    return true
  }

  /** Draws only for faults that are planned, so that unused ones do not shift the row. */
  #happens(rate: number): boolean {
    return rate > 0 && this.#random() < rate
  }
}
