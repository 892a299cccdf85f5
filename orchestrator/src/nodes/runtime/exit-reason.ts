/** Why a node ended, in words that a person can act on. */

/** What V8 prints when its heap is full, before it aborts. */
export const heapExhausted = /heap out of memory|Reached heap limit/

export interface Ending {
  exitCode: number | null
  signal?: string
  /** killed for memory by the kernel, or ended by V8 at its heap limit */
  oomKilled: boolean
}

/** The reason as one sentence without a full stop. */
export function exitReason({ exitCode, signal, oomKilled }: Ending): string {
  if (oomKilled) return 'ran out of memory'
  if (signal === 'SIGKILL' || exitCode === 137)
    return 'killed by SIGKILL: stopped by force, or the machine ran out of memory'
  if (signal) return `ended by ${signal}`
  if (exitCode === null) return 'ended while nobody was watching; its exit code is not known'
  if (exitCode === 0) return 'exited by itself'
  return `failed with exit code ${exitCode}`
}
