import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findPostgresBinaries } from './embedded-binaries.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts'
import { isAlive } from './postmaster.ts'
import { StartupError } from './startup-error.ts'

let dataDir: string
const running: EmbeddedPostgres[] = []
const children: ChildProcess[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'palomar-embedded-'))
})

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const postgres of running.splice(0)) await postgres.stop()
  await rm(dataDir, { recursive: true, force: true })
})

async function start(options: { port?: number } = {}): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, ...options })
  running.push(postgres)
  return postgres
}

async function query(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const { rows } = await client.query(sql)
    return rows[0] && Object.values(rows[0])[0]
  } finally {
    await client.end()
  }
}

/** Another process that starts Postgres on our data and then waits to be killed; gives Postgres' pid. */
async function startInParent(...args: string[]): Promise<{ parent: ChildProcess; pid: number }> {
  const script = path.join(import.meta.dirname, '../../test/hold-postgres.ts')
  const parent = spawn(process.execPath, ['--import', 'tsx', script, dataDir, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(parent)
  const [line] = await once(createInterface(parent.stdout), 'line')
  return { parent, pid: Number(line) }
}

async function killHard(parent: ChildProcess): Promise<void> {
  const exited = once(parent, 'exit')
  parent.kill('SIGKILL')
  await exited
}

test('the first start makes a durable server that only its password opens', async () => {
  const postgres = await start()
  expect(postgres.started).toBe(true)
  expect(await query(postgres.url(), 'show fsync')).toBe('on')
  expect(await query(postgres.url(), 'show synchronous_commit')).toBe('on')
  await expect(query(postgres.url().replace(/:[^:@]+@/, ':wrong@'), 'select 1')).rejects.toThrow(/password/)
})

test('makes a database once, and again is no error', async () => {
  const postgres = await start()
  const [url] = await Promise.all([postgres.createDatabase('a b'), postgres.createDatabase('a b')])
  expect(await query(url, 'select current_database()')).toBe('a b')
  expect(await postgres.createDatabase('a b')).toBe(url)
})

test('a second start adopts the running server', async () => {
  const [first, second] = await Promise.all([start(), start()])
  const third = await start()
  expect(new Set([first.pid, second.pid, third.pid]).size).toBe(1)
  expect([first.started, second.started].filter(Boolean)).toHaveLength(1)
  expect(third.started).toBe(false)
})

test('outlives a parent that is killed, and the next start adopts it', async () => {
  const { parent, pid } = await startInParent()
  await killHard(parent)
  const postgres = await start()
  expect(postgres).toMatchObject({ pid, started: false })
  expect(await query(postgres.url(), 'select 1')).toBe(1)
})

test('ends with a parent that is killed when the parent asked for it', async () => {
  const { parent, pid } = await startInParent('stopOnExit')
  const dir = path.join(dataDir, 'postgres')
  expect(await isAlive(pid, dir)).toBe(true)
  await killHard(parent)
  await vi.waitFor(async () => expect(await isAlive(pid, dir)).toBe(false), { timeout: 10_000 })
})

test('after its own sudden death it starts again with all that was committed', async () => {
  const first = await start()
  await query(first.url(), 'create table t as select 42 as n')
  process.kill(first.pid, 'SIGKILL')
  const second = await start()
  expect(second.started).toBe(true)
  expect(await query(second.url(), 'select n from t')).toBe(42)
})

test.runIf(process.platform === 'linux')(
  'a zombie or a stranger under the old number is no server',
  async () => {
    const first = await start()
    await first.stop()
    // The child ends only when the shell has become `tail`, which never reaps it.
    const parent = spawn('sh', ['-c', 'tail -f /dev/null & echo $!; exec tail -f /dev/null'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(parent)
    const [zombie] = await once(createInterface(parent.stdout), 'line')
    const command = () => readFile(`/proc/${parent.pid}/comm`, 'utf8')
    await vi.waitFor(async () => expect(await command()).toBe('tail\n'), { timeout: 10_000 })
    process.kill(Number(zombie), 'SIGKILL')
    const state = () => readFile(`/proc/${zombie}/stat`, 'utf8')
    await vi.waitFor(async () => expect(await state()).toContain(') Z '), { timeout: 10_000 })
    const dir = path.join(dataDir, 'postgres')
    for (const pid of [zombie, parent.pid]) {
      await writeFile(
        path.join(dir, 'postmaster.pid'),
        `${pid}\n${dir}\n1700000000\n1\n\n127.0.0.1\n  1 1\nready   \n`,
      )
      const next = await start()
      expect(next.started).toBe(true)
      await next.stop()
    }
  },
)

test('says in one line what is wrong: port taken, folder not writable, binaries missing', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const failures = await Promise.all([
    startEmbeddedPostgres({ dataDir, port }).catch((error) => error),
    startEmbeddedPostgres({ dataDir: '/dev/null/data' }).catch((error) => error),
    findPostgresBinaries('plan9', 'mips').catch((error) => error),
  ])
  taken.close()
  const words = [`Port ${port}`, '/dev/null/data', '@embedded-postgres/plan9-mips']
  for (const [index, failure] of failures.entries()) {
    expect(failure).toBeInstanceOf(StartupError)
    expect(failure.message).toContain(words[index])
    expect(failure.message).not.toContain('\n')
  }
})
