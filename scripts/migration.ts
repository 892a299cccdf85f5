/**
 * `npm run migration:new <name>`: writes prisma/migrations/<number>_<name>/migration.sql with what leads from the
 *   migrations to schema.prisma. With `--empty`, a file to write by hand (functions, policies, partial indexes).
 * `npm run migration:check`: ends with 2 when the migrations do not add up to schema.prisma.
 *
 * Both replay the migrations on an embedded Postgres (or TEST_DATABASE_URL, where they may create databases).
 * What Prisma's schema language cannot say, the comparison does not see.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readMigrations } from '../orchestrator/src/db/migrate.ts'
import { oneLine } from '../orchestrator/src/db/startup-error.ts'
import { temporaryPostgres } from '../orchestrator/test/temporary-postgres.ts'
import { diff } from './schema-engine.ts'

const root = path.join(import.meta.dirname, '..')
const migrationsDir = path.join(root, 'prisma/migrations')

async function difference(): Promise<string | null> {
  const schema = await readFile(path.join(root, 'prisma/schema.prisma'), 'utf8')
  const postgres = await temporaryPostgres()
  try {
    return await diff(postgres.url, await readMigrations(migrationsDir), schema)
  } finally {
    await postgres.stop()
  }
}

async function check(): Promise<number> {
  const sql = await difference()
  if (!sql) return 0
  console.error(
    `prisma/migrations and prisma/schema.prisma differ; \`npm run migration:new <name>\` would write:\n\n${sql}`,
  )
  return 2
}

async function create(name: string, empty: boolean): Promise<number> {
  const sql = empty ? '-- Written by hand: schema.prisma cannot say this.\n' : await difference()
  if (!sql) {
    console.error('Nothing to do: the migrations add up to schema.prisma.')
    return 0
  }
  const last = (await readMigrations(migrationsDir)).at(-1)?.name ?? '0'
  const number = String(Number.parseInt(last, 10) + 1).padStart(14, '0')
  const dir = path.join(migrationsDir, `${number}_${name}`)
  await mkdir(dir)
  await writeFile(path.join(dir, 'migration.sql'), sql)
  console.log(path.relative(root, path.join(dir, 'migration.sql')))
  return 0
}

async function main([command, ...args]: string[]): Promise<number> {
  const name = args.find((arg) => !arg.startsWith('--'))
  if (command === 'check') return check()
  if (command === 'new' && name && /^[a-z0-9_]+$/.test(name)) return create(name, args.includes('--empty'))
  console.error('Usage: npm run migration:new <name_in_snake_case> [-- --empty] | npm run migration:check')
  return 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  console.error(oneLine(error))
  process.exitCode = 1
}
