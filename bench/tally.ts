/** Waits for a number of things that come one by one. */

export interface Tally {
  readonly count: number
  add(): void
  /** resolves when the count has reached it; rejects when nothing at all was added for `quietMs` */
  reaches(target: number, quietMs?: number): Promise<void>
}

export function createTally(): Tally {
  let count = 0
  const waiting = new Set<() => void>()
  return {
    get count() {
      return count
    },
    add() {
      count++
      for (const look of waiting) look()
    },
    reaches: (target, quietMs = 30_000) =>
      new Promise((resolve, reject) => {
        if (count >= target) return resolve()
        const timer = setTimeout(() => {
          waiting.delete(look)
          reject(new Error(`${count} of ${target} have come, and none for ${quietMs} ms`))
        }, quietMs)
        const look = () => {
          timer.refresh()
          if (count < target) return
          clearTimeout(timer)
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
      }),
  }
}
