/** The two ways to put load on something: by the clock, whatever the answers, or by so many requests in flight. */
import { setTimeout as delay } from 'node:timers/promises'

/** How many of a steady row are due after so much time; the first is due at once. */
export function dueAfter(ms: number, rate: number, count: number): number {
  return Math.min(count, Math.floor((ms * rate) / 1000) + 1)
}

/**
 * Starts `count` pieces of work at a fixed rate and waits for all. Gives each one's time from when it was due to its
 * end, so that a system that stalls is charged for all who would have come meanwhile.
 */
export async function openLoop(
  { rate, count, signal }: { rate: number; count: number; signal?: AbortSignal },
  work: (n: number) => Promise<unknown>,
): Promise<number[]> {
  const began = performance.now()
  const running: Promise<number>[] = []
  while (running.length < count) {
    signal?.throwIfAborted()
    const due = dueAfter(performance.now() - began, rate, count)
    while (running.length < due) {
      const n = running.length
      const dueAt = began + (n * 1000) / rate
      const timed = work(n).then(() => performance.now() - dueAt)
      // Awaited below, all together.
      timed.catch(() => undefined)
      running.push(timed)
    }
    const next = began + (running.length * 1000) / rate
    if (running.length < count) await delay(Math.max(1, next - performance.now()))
  }
  return Promise.all(running)
}

/** Keeps `inFlight` pieces of work under way until `count` are done. Gives each one's time, and that of all. */
export async function closedLoop(
  { inFlight, count, signal }: { inFlight: number; count: number; signal?: AbortSignal },
  work: (n: number) => Promise<unknown>,
): Promise<{ times: number[]; seconds: number }> {
  const began = performance.now()
  const times: number[] = []
  let next = 0
  const lane = async () => {
    while (next < count) {
      signal?.throwIfAborted()
      const n = next++
      const from = performance.now()
      await work(n)
      times.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane))
  return { times, seconds: (performance.now() - began) / 1000 }
}
