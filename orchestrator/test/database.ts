import { randomBytes } from 'node:crypto'
import path from 'node:path'
import pg from 'pg'
import { inject } from 'vitest'
import { connect } from '../src/db/connect.ts'
import { type Database, type DatabaseOptions, openDatabase } from '../src/db/database.ts'
import { migrate } from '../src/db/migrate.ts'
import { withDatabase } from './temporary-postgres.ts'

export const migrationsDir = path.join(import.meta.dirname, '../../prisma/migrations')

export interface TestDatabase extends Database {
  url: string
}

/** A migrated database of the caller's own, open. `close` drops it: `afterAll(() => database.close())`. */
export async function createTestDatabase(options?: DatabaseOptions): Promise<TestDatabase> {
  const url = await create(inject('templateDatabase'))
  const database = await openDatabase(url, options)
  return {
    ...database,
    url,
    async close() {
      await database.close()
      await dropDatabase(url)
    },
  }
}

/** The connection string of a database with nothing in it; the caller drops it. */
export function createEmptyDatabase(): Promise<string> {
  return create('template0')
}

export function dropDatabase(url: string): Promise<void> {
  return run(inject('postgresUrl'), `drop database ${new URL(url).pathname.slice(1)} with (force)`)
}

async function create(template: string): Promise<string> {
  const server = inject('postgresUrl')
  const name = newName()
  await run(server, `create database ${name} template ${pg.escapeIdentifier(template)}`)
  return withDatabase(server, name)
}

/** Makes the database that test databases are copied from: copying one is quick, migrating each is not. */
export async function makeTemplate(server: string): Promise<{ name: string; drop(): Promise<void> }> {
  const name = newName()
  await run(server, `create database ${name}`)
  await migrate(withDatabase(server, name), migrationsDir)
  return { name, drop: () => run(server, `drop database ${name} with (force)`) }
}

function newName(): string {
  return `test_${randomBytes(6).toString('hex')}`
}

async function run(server: string, sql: string): Promise<void> {
  const client = await connect(server)
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
