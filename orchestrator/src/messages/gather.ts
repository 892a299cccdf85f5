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
  /** items of one key are never in two runs at a time: they keep the order in which they came */
  keyOf: (item: In) => string
  /** items a run, at most */
  most: number
  /** runs at a time, at most; items tried by themselves are not counted, and so hold up nobody */
  atOnce: number
}

interface Waiting<In, Out> {
  item: In
  resolve: (result: Out | Promise<Out>) => void
}

/** The returned function gives the item's own result, or throws its own failure. */
export function createGather<In, Out>(options: GatherOptions<In, Out>) {
  const { run, runAlone, onFailed, keyOf, most, atOnce } = options
  let waiting: Waiting<In, Out>[] = []
  let running = 0
  const keysAtWork = new Set<string>()
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
    for (const { item } of batch) keysAtWork.delete(keyOf(item))
    look()
  }

  function look(): void {
    looking = false
    while (running < atOnce) {
      const batch = nextBatch()
      if (batch.length === 0) return
      running++
      for (const { item } of batch) keysAtWork.add(keyOf(item))
      void take(batch)
    }
  }

  /** Takes what may go now from those that wait. */
  function nextBatch(): Waiting<In, Out>[] {
    const batch: Waiting<In, Out>[] = []
    const rest: Waiting<In, Out>[] = []
    for (const one of waiting) {
      const goes = batch.length < most && !keysAtWork.has(keyOf(one.item))
      ;(goes ? batch : rest).push(one)
    }
    waiting = rest
    return batch
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
