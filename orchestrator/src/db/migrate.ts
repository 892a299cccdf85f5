import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Client } from 'pg'
import { connect } from './connect.ts'
import { oneLine, StartupError } from './startup-error.ts'

/** The advisory lock that `prisma migrate` takes too. */
const LOCK = 72707369

// As `prisma migrate` makes it, so that either can be used on one database.
const JOURNAL = `create table if not exists _prisma_migrations (
  id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz,
  migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
  started_at timestamptz not null default now(), applied_steps_count integer not null default 0)`

export interface Migration {
  name: string
  sql: string
}

/** The migrations in `dir` (`<name>/migration.sql`), in the order in which they are applied. */
export async function readMigrations(dir: string): Promise<Migration[]> {
  const entries = await readdir(dir, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(
    names
      .sort()
      .map(async (name) => ({ name, sql: await readFile(path.join(dir, name, 'migration.sql'), 'utf8') })),
  )
}

/**
 * Brings the database up to `dir`, each migration whole or not at all; replicas that start together take turns.
 * Returns the names it applied. Throws a `StartupError` when the database cannot be reached, when a migration
 * fails, and when one was edited after it had been applied.
 */
export async function migrate(url: string, dir: string): Promise<string[]> {
  const migrations = await readMigrations(dir)
  const client = await connect(url)
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK])
    await client.query(JOURNAL)
    const journal = await readJournal(client)
    const applied: string[] = []
    for (const migration of migrations) {
      const known = journal.get(migration.name)
      if (known) check(migration, known)
      else {
        await apply(client, migration)
        applied.push(migration.name)
      }
    }
    return applied
  } finally {
    await client.end() // and with it the lock
  }
}

interface JournalEntry {
  migration_name: string
  checksum: string
  finished_at: Date | null
}

async function readJournal(client: Client): Promise<Map<string, JournalEntry>> {
  const { rows } = await client.query<JournalEntry>(
    'select migration_name, checksum, finished_at from _prisma_migrations where rolled_back_at is null',
  )
  return new Map(rows.map((row) => [row.migration_name, row]))
}

function check({ name, sql }: Migration, known: JournalEntry): void {
  if (!known.finished_at) {
    throw new StartupError(
      `Migration ${name} failed half-way earlier: settle it with \`prisma migrate resolve\`.`,
    )
  }
  if (known.checksum !== checksum(sql)) {
    throw new StartupError(
      `Migration ${name} was edited after it had been applied: restore it and add a new one.`,
    )
  }
}

async function apply(client: Client, { name, sql }: Migration): Promise<void> {
  const startedAt = new Date()
  try {
    await client.query('begin')
    await client.query(sql)
    await client.query(
      `insert into _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       values ($1, $2, $3, $4, clock_timestamp(), 1)`,
      [randomUUID(), checksum(sql), name, startedAt],
    )
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw new StartupError(`Migration ${name} failed and was rolled back: ${oneLine(error)}.`)
  }
}

/** Of the text with Unix line ends, so that a Windows check-out of the same file is the same file. */
function checksum(sql: string): string {
  return createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex')
}
