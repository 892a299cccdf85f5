/**
 * Items that arrive while others are under way are taken together by the next run: the busier it is, the less each
 * costs. There is no timer: an item that comes while nothing runs is taken in the same turn of the event loop.
 */
export interface GatherOptions<In, Out> {
  /** gives each item's result in its place */
  run: (items: In[]) => Promise<readonly Out[]>
  /** when a run has failed, each of its items is tried by itself, so that none fails for another */
  runAlone: (item: In) => Promise<Out>
  /** told of a run that failed, with the number of its items */
  onFailed?: ((error: unknown, items: number) => void) | undefined
  /** items a run, at most */
  most: number
  /** runs at a time, at most; those alone are not counted, and so hold up nobody */
  atOnce: number
}

interface Waiting<In, Out> {
  item: In
  resolve: (result: Out | Promise<Out>) => void
}

/** The returned function gives the item's own result, or throws its own failure. */
export function createGather<In, Out>({ run, runAlone, onFailed, most, atOnce }: GatherOptions<In, Out>) {
  const waiting: Waiting<In, Out>[] = []
  let running = 0
  let looking = false

  async function take(batch: Waiting<In, Out>[]): Promise<void> {
    try {
      const results = await run(batch.map(({ item }) => item))
      for (const [n, { resolve }] of batch.entries()) resolve(results[n] as Out)
    } catch (error) {
      onFailed?.(error, batch.length)
      for (const { item, resolve } of batch) resolve(runAlone(item))
    }
    running--
    look()
  }

  function look(): void {
    looking = false
    while (running < atOnce && waiting.length > 0) {
      running++
      void take(waiting.splice(0, most))
    }
  }

  return (item: In): Promise<Out> =>
    new Promise((resolve) => {
      waiting.push({ item, resolve })
      if (looking) return
      looking = true
      // After all that this turn of the event loop has read: what came together goes together.
      setImmediate(look)
    })
}
