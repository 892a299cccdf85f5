/**
 * Prisma's schema engine as wasm, over pg: what `prisma migrate diff` does, without the binary it would download.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { PrismaPg } from '@prisma/adapter-pg'
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type SqlDriverAdapter,
} from '@prisma/driver-adapter-utils'
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'
import type { Migration } from '../orchestrator/src/db/migrate.ts'
import { withDatabase } from '../orchestrator/test/temporary-postgres.ts'

/** The SQL that leads from the database that `migrations` make to the one that `schema` describes; null when none. */
export async function diff(
  serverUrl: string,
  migrations: Migration[],
  schema: string,
): Promise<string | null> {
  await load()
  const files = [{ path: 'schema.prisma', content: schema }]
  const factory = bindMigrationAwareSqlAdapterFactory({
    provider: 'postgres',
    adapterName: 'pg',
    connect: () => openAdapter(serverUrl),
    connectToShadowDb: () => openShadow(serverUrl),
  })
  const schemaEngine = await engine.SchemaEngine.new(
    { datamodels: files.map((file): [string, string] => [file.path, file.content]) },
    () => undefined,
    factory,
  )
  const { stdout } = await schemaEngine.diff({
    from: { tag: 'migrations', ...migrationList(migrations) },
    to: { tag: 'schemaDatamodel', files },
    script: true,
    exitCode: null,
    filters: { externalTables: [], externalEnums: [] },
  })
  schemaEngine.free()
  return !stdout || stdout.startsWith('-- This is an empty migration') ? null : stdout
}

/** What this file uses of WebAssembly: its types come with the browser's library, which we do not load. */
const { WebAssembly: webAssembly } = globalThis as unknown as {
  WebAssembly: {
    instantiate(
      code: Uint8Array,
      imports: Record<string, object>,
    ): Promise<{ instance: { exports: Record<string, () => void> } }>
  }
}

let loaded: Promise<void> | undefined

/** The package's own entry imports a .wasm file, which Node 20 cannot; so the module is instantiated by hand. */
function load(): Promise<void> {
  loaded ??= (async () => {
    // Called by the engine when it panics; the error that follows says no more than "unreachable".
    Object.assign(globalThis, {
      PRISMA_WASM_PANIC_REGISTRY: { set_message: (message: string) => console.error(message) },
    })
    const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm')
    const wasm = await readFile(path.join(path.dirname(entry), 'schema_engine_bg.wasm'))
    const { instance } = await webAssembly.instantiate(wasm, { './schema_engine_bg.js': engine })
    const { __wbg_set_wasm: setWasm } = engine as unknown as { __wbg_set_wasm(exports: unknown): void }
    setWasm(instance.exports)
    instance.exports.__wbindgen_start?.()
  })()
  return loaded
}

function migrationList(migrations: Migration[]) {
  return {
    baseDir: path.resolve('prisma/migrations'),
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: migrations.map(({ name, sql }) => ({
      path: name,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok' as const, value: sql } },
    })),
  }
}

/** A database of its own in which the migrations are replayed; dropped when the engine is done with it. */
async function openShadow(serverUrl: string): Promise<SqlDriverAdapter> {
  const name = `shadow_${randomBytes(6).toString('hex')}`
  await execute(serverUrl, `create database ${name}`)
  return openAdapter(withDatabase(serverUrl, name), () =>
    execute(serverUrl, `drop database ${name} with (force)`),
  )
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** Postgres' one-letter type "char", in which its catalogs keep flags. */
const CHAR = 18
const TEXT = 25

/** The adapter, taught two things that its catalog queries and custom SQL need. */
async function openAdapter(url: string, afterwards?: () => Promise<void>): Promise<SqlDriverAdapter> {
  const pool = new pg.Pool({ connectionString: url, max: 2 })
  const adapter: SqlDriverAdapter = await new PrismaPg(pool).connect()

  // It refuses columns of type "char". They pass as text, and are given back as characters.
  let isChar: boolean[] = []
  const poolQuery = pool.query.bind(pool) as (config: pg.QueryConfig) => Promise<pg.QueryResult>
  Object.assign(pool, {
    query: async (config: pg.QueryConfig) => {
      const result = await poolQuery(config)
      isChar = result.fields.map((field) => field.dataTypeID === CHAR)
      for (const field of result.fields) if (field.dataTypeID === CHAR) field.dataTypeID = TEXT
      return result
    },
  })
  const queryRaw = adapter.queryRaw.bind(adapter)
  adapter.queryRaw = async (query) => {
    const result = await queryRaw(query)
    const columnTypes = result.columnTypes.map((type, index) =>
      isChar[index] ? ColumnTypeEnum.Character : type,
    )
    return { ...result, columnTypes }
  }

  // It splits scripts at semicolons, which function bodies contain.
  adapter.executeScript = async (script) => {
    await poolQuery({ text: script })
  }
  adapter.dispose = async () => {
    await pool.end()
    await afterwards?.()
  }
  return adapter
}
