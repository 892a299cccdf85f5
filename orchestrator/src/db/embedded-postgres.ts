import { spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findPostgresBinaries, type PostgresBinaries, runToEnd } from './embedded-binaries.ts'
import { makeCluster, readPassword } from './embedded-cluster.ts'
import { isAlive, type Postmaster, readPostmaster, releaseStalePidFile } from './postmaster.ts'
import { oneLine, StartupError } from './startup-error.ts'

/**
 * A real Postgres from npm packages, for whoever has none: kept in `<dataDir>/postgres`, on 127.0.0.1, behind a
 * password that only this user can read. It outlives a killed parent, and the next start adopts it.
 */
export interface EmbeddedPostgresOptions {
  /** the directory under which all state lives; made when missing */
  dataDir: string
  /** default: a free one. A server that already runs on this data keeps its own port */
  port?: number
  /** whether a commit survives a power cut; default true. Only tests, which throw their data away, say no */
  durable?: boolean
  /** end Postgres when this process ends, however it ends; default false (the next start adopts it). Not on Windows */
  stopOnExit?: boolean
}

export interface EmbeddedPostgres {
  pid: number
  port: number
  /** false when a server was found running and was adopted */
  started: boolean
  /** connection string, password included; `database` defaults to `postgres` */
  url(database?: string): string
  /** makes the database when it is missing and returns its connection string */
  createDatabase(name: string): Promise<string>
  /** ends the server in an orderly way: clients are cut off, everything is flushed */
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000

/** Starts or adopts the Postgres of `dataDir`. Throws a `StartupError` that says what to do. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await findPostgresBinaries()
  const dir = await makeCluster(binaries, options.dataDir)
  const password = await readPassword(dir)
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const running = await adopt(dir, password, deadline)
    if (running) return handleOf(binaries, dir, password, running, false)
    const started = await launch(binaries, dir, password, options, deadline)
    if (started) return handleOf(binaries, dir, password, started, true, options.stopOnExit)
    if (Date.now() > deadline)
      throw new StartupError(`Postgres finds no way to start on ${dir}: see postgres.log.`)
  }
}

/** The server that already runs on `dir`, once it answers; null when there is none. */
async function adopt(dir: string, password: string, deadline: number): Promise<Postmaster | null> {
  for (;;) {
    const postmaster = await readPostmaster(dir)
    if (!postmaster) return null
    if (!(await isAlive(postmaster.pid, dir))) {
      await releaseStalePidFile(dir)
      return null
    }
    const failure = postmaster.port ? await probe(postmaster.port, password) : 'it is still starting'
    if (!failure) return postmaster
    if (Date.now() > deadline) {
      throw new StartupError(
        `Postgres (pid ${postmaster.pid}) runs on ${dir} but does not answer on port ${postmaster.port}: ${failure}. ` +
          'End that process, or read postgres.log beside its data.',
      )
    }
    await sleep(25)
  }
}

/** Starts a server; null when it lost a race (for the data directory or for a free port) and should be tried again. */
async function launch(
  binaries: PostgresBinaries,
  dir: string,
  password: string,
  { port: fixedPort, durable = true }: EmbeddedPostgresOptions,
  deadline: number,
): Promise<Postmaster | null> {
  const port = await reservePort(fixedPort)
  const logFile = path.join(path.dirname(dir), 'postgres.log')
  const log = await open(logFile, 'a', 0o600).catch((error) => {
    throw new StartupError(
      `Cannot write ${logFile}: ${oneLine(error)}. Set PALOMAR_DATA_DIR to a writable folder.`,
    )
  })
  try {
    const logStart = (await log.stat()).size
    const [command = '', ...args] = [
      ...binaries.prefix,
      binaries.postgres,
      '-D',
      dir,
      ...settings(port, durable),
    ]
    // Its own session and no pipe to us: neither Ctrl-C nor our death reaches it.
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log.fd, log.fd] })
    const ended = new Promise<void>((resolve) => {
      child.once('error', () => resolve())
      child.once('exit', () => resolve())
    })
    child.unref()
    let over = false
    void ended.then(() => {
      over = true
    })
    while (!over) {
      if ((await readPostmaster(dir))?.pid === child.pid && !(await probe(port, password)))
        return { pid: child.pid as number, port }
      if (Date.now() > deadline) {
        child.kill('SIGQUIT')
        throw new StartupError(`Postgres did not start within ${START_TIMEOUT_MS / 1000} s: see ${logFile}.`)
      }
      await Promise.race([sleep(10), ended])
    }
    const said = (await readFile(logFile, 'utf8')).slice(logStart)
    if (/lock file "postmaster.pid" already exists/.test(said)) return null
    if (/Address already in use/i.test(said) && !fixedPort) return null
    throw new StartupError(`Postgres does not start: ${lastComplaint(said)} (more in ${logFile}).`)
  } finally {
    await log.close()
  }
}

function settings(port: number, durable: boolean): string[] {
  const values = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    // The details of an error quote rows, and rows hold people's messages.
    log_error_verbosity: 'terse',
    log_min_error_statement: 'panic',
  }
  return Object.entries(values).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

function lastComplaint(log: string): string {
  const complaints = log.split('\n').filter((line) => /FATAL|PANIC|error/i.test(line))
  return complaints.at(-1)?.replace(/^.*?(FATAL|PANIC):\s*/, '') ?? (oneLine(log) || 'it said nothing')
}

/** A port that was free a moment ago. */
function reservePort(fixed: number | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used: ${oneLine(error)}`
      reject(new StartupError(`Port ${fixed} for the embedded Postgres ${why}. Choose another, or none.`))
    })
    server.listen(fixed ?? 0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Null when a real client can log in; otherwise what it was told. */
async function probe(port: number, password: string): Promise<string | null> {
  const client = new pg.Client({ ...connection(port, password), connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined) // a cut connection is reported by connect and end alike
  try {
    await client.connect()
    await client.end()
    return null
  } catch (error) {
    return oneLine(error)
  }
}

function connection(port: number, password: string): pg.ClientConfig {
  return { host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' }
}

function handleOf(
  binaries: PostgresBinaries,
  dir: string,
  password: string,
  { pid, port }: Postmaster,
  started: boolean,
  stopOnExit = false,
): EmbeddedPostgres {
  const url = (database = 'postgres') => `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`
  const watcher = stopOnExit && process.platform !== 'win32' ? endWithUs(pid) : null
  return {
    pid,
    port,
    started,
    url,
    async createDatabase(name) {
      const client = new pg.Client(connection(port, password))
      await client.connect()
      try {
        await client.query(`create database ${pg.escapeIdentifier(name)}`)
      } catch (error) {
        if (!isAlreadyThere(error)) throw error
      } finally {
        await client.end()
      }
      return url(name)
    },
    async stop() {
      watcher?.kill()
      if (!(await isAlive(pid, dir))) return
      try {
        await runToEnd([...binaries.prefix, binaries.pg_ctl, 'stop', '-D', dir, '-m', 'fast', '-w'])
      } catch (error) {
        // Somebody else was stopping it: its pid file goes before it does.
        if (!(await endsWithin(pid, dir, 10_000))) throw error
      }
    },
  }
}

async function endsWithin(pid: number, dir: string, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms
  while (await isAlive(pid, dir)) {
    if (Date.now() > deadline) return false
    await sleep(25)
  }
  return true
}

/** duplicate_database; and unique_violation, which two makers of one name can run into. */
function isAlreadyThere(error: unknown): boolean {
  return error instanceof pg.DatabaseError && (error.code === '42P04' || error.code === '23505')
}

/** A shell that waits on a pipe from us. The pipe closes when we end, even by SIGKILL; then it ends Postgres. */
function endWithUs(pid: number) {
  const watcher = spawn('sh', ['-c', 'read -r _; kill -INT "$1"', 'sh', String(pid)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watcher.unref()
  // The pipe must stay open without keeping us alive.
  ;(watcher.stdin as unknown as { unref(): void }).unref()
  return watcher
}
