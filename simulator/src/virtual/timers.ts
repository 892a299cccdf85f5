/** Timers that can all be called off at once. */
export interface Timers {
  /** resolves after `ms`: true, or false at once when the timers were closed before */
  wait(ms: number): Promise<boolean>
  close(): void
}

export function createTimers(): Timers {
  const pending = new Map<NodeJS.Timeout, (ran: boolean) => void>()
  let closed = false
  return {
    wait(ms) {
      if (closed) return Promise.resolve(false)
      if (ms <= 0) return Promise.resolve(true)
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          pending.delete(timer)
          resolve(true)
        }, ms)
        pending.set(timer, resolve)
      })
    },
    close() {
      closed = true
      for (const [timer, resolve] of pending) {
        clearTimeout(timer)
        resolve(false)
      }
      pending.clear()
    },
  }
}
