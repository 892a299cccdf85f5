/**
 * Items that arrive while others are under way are taken together by the next run: the busier it is, the less each
 * costs. There is no timer: an item that comes while nothing runs is taken in the same turn of the event loop.
 */
export interface GatherOptions<In, Out> {
  /** Gives each item's result in its place. When it fails for several, each of them is tried alone. */
  run: (items: In[]) => Promise<readonly Out[]>
  /** items a run, at most */
  most: number
  /** runs at a time, at most; those that are tried alone are not counted */
  atOnce: number
}

interface Waiting<In, Out> {
  item: In
  resolve: (result: Out) => void
  reject: (error: unknown) => void
}

/** The returned function gives the item's own result, or throws its own failure. */
export function createGather<In, Out>({ run, most, atOnce }: GatherOptions<In, Out>) {
  const waiting: Waiting<In, Out>[] = []
  let running = 0
  let looking = false

  async function runAlone({ item, resolve, reject }: Waiting<In, Out>): Promise<void> {
    try {
      const [result] = await run([item])
      resolve(result as Out)
    } catch (error) {
      reject(error)
    }
  }

  async function runAll(batch: Waiting<In, Out>[]): Promise<void> {
    try {
      const results = await run(batch.map(({ item }) => item))
      for (const [n, { resolve }] of batch.entries()) resolve(results[n] as Out)
    } catch {
      for (const one of batch) void runAlone(one)
    }
  }

  function look(): void {
    looking = false
    while (running < atOnce && waiting.length > 0) {
      const batch = waiting.splice(0, most)
      const [only] = batch
      running++
      const done = batch.length === 1 && only ? runAlone(only) : runAll(batch)
      void done.then(() => {
        running--
        look()
      })
    }
  }

  return (item: In): Promise<Out> =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      if (looking) return
      looking = true
      // After all that this turn of the event loop has read: requests that came together go together.
      setImmediate(look)
    })
}
