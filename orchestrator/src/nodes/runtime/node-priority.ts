import { writeFile } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

/** a third of the weight of what runs as usual */
const NICENESS = 5
/** Linux takes an unprivileged write to an autogroup every 100 ms only. */
const AGAIN_MS = 120
const TRIES = 10

/**
 * Lets the orchestrator and its Postgres, on which all sessions wait, go before one session's burst.
 *
 * A node leads a session of its own, and where Linux groups processes by session for scheduling ("autogroup"), each
 * such group gets as much as the orchestrator's: there the group's niceness counts, not the process'. A courtesy among
 * processes: where the system has no such thing or refuses it, the node runs like any other.
 */
export async function lowerPriority(pid: number): Promise<void> {
  try {
    setPriority(pid, NICENESS)
    if (process.platform !== 'linux') return
    for (let n = 0; n < TRIES; n++) {
      if (await writeAutogroup(pid)) return
      await delay(AGAIN_MS, undefined, { ref: false })
    }
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
}

/** False when it is to be tried again. */
async function writeAutogroup(pid: number): Promise<boolean> {
  try {
    await writeFile(`/proc/${pid}/autogroup`, String(NICENESS))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false
    throw error
  }
}

/** It has ended, there is no such file, or it is not ours to write; os.setPriority names the system's errno only so. */
function isRefusal(error: unknown): boolean {
  const { code, info } = error as NodeJS.ErrnoException & { info?: { errno: number } }
  const refusals = ['ESRCH', 'ENOENT', 'EACCES', 'EPERM', 'EROFS'] as const
  return refusals.some((name) => code === name || info?.errno === -constants.errno[name])
}
