/** The embedded Postgres of a stack, to be killed and started again on its port. */
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../orchestrator/src/db/embedded-postgres.ts'
import { isAlive } from '../orchestrator/src/db/postmaster.ts'

export interface PostgresProcess {
  /** connection string of the stack's database, past any proxy */
  readonly url: string
  readonly pid: number
  /** ends it at once, without a checkpoint: the next start recovers from the log */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

const DEATH_MS = 10_000

/** Starts one under `dataDir` with the database `palomar`. It ends with this process, however that ends. */
export async function startPostgresProcess(dataDir: string): Promise<PostgresProcess> {
  let postgres: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir, stopOnExit: true })
  const url = await postgres.createDatabase('palomar')
  const { port } = postgres
  return {
    url,
    get pid() {
      return postgres.pid
    },
    async kill() {
      const dir = path.join(dataDir, 'postgres')
      process.kill(postgres.pid, 'SIGQUIT')
      const deadline = Date.now() + DEATH_MS
      while (await isAlive(postgres.pid, dir)) {
        if (Date.now() > deadline) throw new Error(`Postgres (pid ${postgres.pid}) survives SIGQUIT`)
        await delay(10)
      }
      // Ends what would end it with us: its number may soon be somebody else's.
      await postgres.stop()
    },
    async start() {
      postgres = await startEmbeddedPostgres({ dataDir, port, stopOnExit: true })
    },
    stop: () => postgres.stop(),
  }
}
