/** Jobs one after the other, in the order they were given. */
export interface Lane {
  /** Runs `job` when all earlier ones have ended; its failure is its caller's, the lane goes on. */
  run<T>(job: () => Promise<T>): Promise<T>
  /** Resolves when every job given so far has ended. */
  idle(): Promise<void>
}

/** Longest stretch that jobs may hold the event loop, all lanes of the process together. */
const SLICE_MS = 5
let sliceEnds = 0

/** Crypto jobs never wait for I/O, so without this a burst for one device would starve every socket. */
async function breathe(): Promise<void> {
  if (performance.now() < sliceEnds) return
  await new Promise(setImmediate)
  sliceEnds = performance.now() + SLICE_MS
}

export function createLane(): Lane {
  let tail: Promise<unknown> = Promise.resolve()
  return {
    run(job) {
      const result = tail.then(breathe).then(job)
      tail = result.catch(() => undefined)
      return result
    },
    async idle() {
      await tail
    },
  }
}
