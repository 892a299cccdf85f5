import type { LinkedDevice } from '../directory/linked-device.ts'
import { deviceJid } from '../jid.ts'
import type { Stanza } from '../types.ts'
import { type FaultPlan, type FaultSettings, faultPlan } from './plan.ts'
import { type Random, seededRandom, streamSeed } from './random.ts'

/** The plan in force, and a row of random numbers for every connection. */
export class Faults {
  readonly #seed: number
  #plan: FaultPlan | undefined
  #only = new Set<string>()
  readonly #dropped = new Set<string>()

  constructor(seed: number) {
    this.#seed = seed
  }

  /** Replaces the plan: what is left out does not happen. Throws a ZodError on nonsense. */
  set(settings: FaultSettings): void {
    this.#plan = Object.keys(settings).length === 0 ? undefined : faultPlan.parse(settings)
    this.#only = new Set(this.#plan?.only)
  }

  /** A message never left. It comes at a later login, after others that were written after it. */
  noteDropped({ tag, attrs }: Stanza): void {
    if (tag === 'message' && attrs.id) this.#dropped.add(attrs.id)
  }

  hasDropped(id: string): boolean {
    return this.#dropped.has(id)
  }

  planFor({ account }: LinkedDevice): FaultPlan | undefined {
    return this.#only.size > 0 && !this.#only.has(account.pn) ? undefined : this.#plan
  }

  /** Depends on the seed, the device and the number of its connection only: not on what others do meanwhile. */
  randomFor(device: LinkedDevice): Random {
    return seededRandom(streamSeed(this.#seed, `${deviceJid(device, 'pn')} ${device.connects}`))
  }
}
