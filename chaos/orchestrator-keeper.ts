/** Stands in for the service manager that every orchestrator has: whatever ends it, it is started again. */
import { setTimeout as delay } from 'node:timers/promises'
import type { OrchestratorProcess } from '../harness/orchestrator-process.ts'

export interface OrchestratorKeeper {
  /** SIGKILL, and a new one after the time; resolves when it is healthy */
  kill(downMs: number): Promise<void>
  pause(forMs: number): Promise<void>
  /** It runs and is healthy; one that has ended by itself is started again. Throws when it cannot be. */
  ensure(): Promise<void>
}

/** a start may meet a Postgres that is away; a service manager tries again */
const START_MS = 90_000

export function keepAlive(
  orchestrator: OrchestratorProcess,
  note: (what: string) => void,
): OrchestratorKeeper {
  async function start(): Promise<void> {
    const deadline = Date.now() + START_MS
    for (;;) {
      try {
        await orchestrator.start()
        return note('the orchestrator is back')
      } catch (error) {
        if (Date.now() > deadline) throw error
        note(`the orchestrator did not start: ${String(error).slice(0, 300)}`)
        await orchestrator.kill()
        await delay(200)
      }
    }
  }
  return {
    async kill(downMs) {
      await orchestrator.kill()
      note(`killed the orchestrator for ${downMs} ms`)
      await delay(downMs)
      await start()
    },
    async pause(forMs) {
      orchestrator.pause()
      note(`paused the orchestrator for ${forMs} ms`)
      await delay(forMs)
      orchestrator.resume()
    },
    async ensure() {
      orchestrator.resume()
      if (orchestrator.running) return
      note('the orchestrator had ended by itself')
      await start()
    },
  }
}
