/** Whether a node's process is alive, and how it is ended. */
import { setTimeout as delay } from 'node:timers/promises'
import { codeOf } from './error-code.ts'
import { identityOf } from './process-identity.ts'
import type { ProcessState } from './process-state.ts'
import { RuntimeError } from './runtime.ts'

const killTimeoutMs = 5_000
const lookEveryMs = 20

export async function isAlive(state: ProcessState): Promise<boolean> {
  return !state.ending && (await identityOf(state.pid)) === state.identity
}

/** SIGTERM, then SIGKILL after the grace, to the whole group: whatever the node has started belongs to it. */
export async function endGroup(state: ProcessState, graceMs: number): Promise<void> {
  if (graceMs > 0) {
    signalGroup(state.pid, 'SIGTERM')
    if (await diesWithin(state, graceMs)) return
  }
  signalGroup(state.pid, 'SIGKILL')
  if (!(await diesWithin(state, killTimeoutMs)))
    throw new RuntimeError('stop_failed', `${state.name} (pid ${state.pid}) is alive after SIGKILL`)
}

async function diesWithin(state: ProcessState, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms
  while (await isAlive(state)) {
    if (Date.now() >= deadline) return false
    await delay(lookEveryMs)
  }
  return true
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error
  }
}
