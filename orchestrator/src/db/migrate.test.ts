import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createEmptyDatabase, dropDatabase } from '../../test/database.ts'
import { connect } from './connect.ts'
import { migrate } from './migrate.ts'
import { StartupError } from './startup-error.ts'

let dir: string
let url: string

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'palomar-migrations-'))
  url = await createEmptyDatabase()
})

afterEach(async () => {
  await dropDatabase(url)
  await rm(dir, { recursive: true })
})

async function write(name: string, sql: string): Promise<void> {
  await mkdir(path.join(dir, name), { recursive: true })
  await writeFile(path.join(dir, name, 'migration.sql'), sql)
}

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const client = await connect(url)
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

test('applies in order, once, and only what is new', async () => {
  await write('02_b', 'insert into t values (2)')
  await write('01_a', 'create table t (n int)')
  expect(await migrate(url, dir)).toEqual(['01_a', '02_b'])
  await write('03_c', 'insert into t values (3)')
  expect(await migrate(url, dir)).toEqual(['03_c'])
  expect(await migrate(url, dir)).toEqual([])
  expect(await query('select n from t order by n')).toEqual([{ n: 2 }, { n: 3 }])
})

test('starts at the same time take turns', async () => {
  await write('01_a', 'create table t (n int); select pg_sleep(0.05); insert into t values (1)')
  const applied = await Promise.all([migrate(url, dir), migrate(url, dir), migrate(url, dir)])
  expect(applied.flat()).toEqual(['01_a'])
  expect(await query('select n from t')).toHaveLength(1)
})

test('a migration that fails leaves nothing of itself, and can be mended', async () => {
  await write('01_a', 'create table t (n int)')
  await write('02_b', 'insert into t values (1); insert into nowhere values (1)')
  const failure = await migrate(url, dir).catch((error) => error)
  expect(failure).toBeInstanceOf(StartupError)
  expect(failure.message).toContain('02_b')
  expect(await query('select n from t')).toEqual([])
  await write('02_b', 'insert into t values (1)')
  expect(await migrate(url, dir)).toEqual(['02_b'])
})

test('refuses a file that was edited after it had been applied, but not other line ends', async () => {
  await write('01_a', 'create table t (n int);\ncreate table u (n int);\n')
  await migrate(url, dir)
  await write('01_a', 'create table t (n int);\r\ncreate table u (n int);\r\n')
  expect(await migrate(url, dir)).toEqual([])
  await write('01_a', 'create table t (n bigint);\n')
  await expect(migrate(url, dir)).rejects.toThrow(/01_a was edited/)
})

test('keeps its journal as prisma migrate reads it', async () => {
  await write('01_a', 'select 1')
  await migrate(url, dir)
  const [row] = await query('select * from _prisma_migrations')
  expect(row).toMatchObject({
    migration_name: '01_a',
    // printf 'select 1' | sha256sum
    checksum: '822ae07d4783158bc1912bb623e5107cc9002d519e1143a9c200ed6ee18b6d0f',
    applied_steps_count: 1,
    rolled_back_at: null,
    finished_at: expect.any(Date),
  })
  await query('update _prisma_migrations set finished_at = null')
  await expect(migrate(url, dir)).rejects.toThrow(/01_a failed half-way/)
})

test('a server that does not answer is one line, without the password', async () => {
  const failure = await migrate('postgresql://me:secret@127.0.0.1:1/db', dir).catch((error) => error)
  expect(failure).toBeInstanceOf(StartupError)
  expect(failure.message).toMatch(/^Cannot reach Postgres at 127\.0\.0\.1:1\/db as me: .*DATABASE_URL/)
  expect(failure.message).not.toMatch(/secret|\n/)
})
