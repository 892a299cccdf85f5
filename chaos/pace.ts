/** How the writers wait: by a seed of their own, and not past the end. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Random, seededRandom, streamSeed } from '../simulator/src/faults/random.ts'

/** Whoever waits is told whether to go on. */
export interface Pace {
  random: Random
  between(low: number, high: number): number
  of<T>(choices: readonly T[]): T
  /** false when the signal has come */
  wait(ms: number): Promise<boolean>
}

/** A row of random numbers for one writer, so that what one does shifts no other's. */
export function pace(seed: number, name: string, signal: AbortSignal): Pace {
  const random = seededRandom(streamSeed(seed, name))
  const between = (low: number, high: number) => Math.round(low + random() * (high - low))
  return {
    random,
    between,
    of: (choices) => choices[Math.floor(random() * choices.length)] as never,
    wait: (ms) =>
      delay(ms, true, { signal }).catch(() => {
        return false
      }),
  }
}
