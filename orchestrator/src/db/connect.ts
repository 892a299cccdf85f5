import pg from 'pg'
import { oneLine, StartupError } from './startup-error.ts'

/** One connection, open. Throws a `StartupError` that names the server, never its password. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  // A connection that dies later fails the next query; without a listener it would end the process.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return client
  } catch (error) {
    throw new StartupError(
      `Cannot reach Postgres ${nameOf(url)}: ${oneLine(error)}. Is it up, and is DATABASE_URL right?`,
    )
  }
}

function nameOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null
  return parsed ? `at ${parsed.host}${parsed.pathname} as ${parsed.username || '(no user)'}` : '(not a URL)'
}
