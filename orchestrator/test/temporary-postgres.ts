import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startEmbeddedPostgres } from '../src/db/embedded-postgres.ts'

export interface TemporaryPostgres {
  /** connection string of a database from which others can be made */
  url: string
  /** ends the server and removes its data; a server that was given is left alone */
  stop(): Promise<void>
}

/** A Postgres for the time of a test run or a script: `TEST_DATABASE_URL` where it is set, else an embedded one. */
export async function temporaryPostgres(): Promise<TemporaryPostgres> {
  const given = process.env.TEST_DATABASE_URL
  if (given) return { url: given, stop: async () => undefined }
  const dataDir = await mkdtemp(path.join(tmpdir(), 'palomar-postgres-'))
  const postgres = await startEmbeddedPostgres({ dataDir, durable: false, stopOnExit: true })
  return {
    url: postgres.url(),
    async stop() {
      await postgres.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** The same server, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(database)}`
  return changed.href
}
