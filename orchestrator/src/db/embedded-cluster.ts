import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type PostgresBinaries, runToEnd } from './embedded-binaries.ts'
import { oneLine, StartupError } from './startup-error.ts'

/**
 * A new segment of the write-ahead log is filled with zeros while every commit waits: 50 ms for the usual 16 MB, one
 * segment after the other until the first checkpoint leaves old ones to be used again.
 */
const WAL = ['--wal-segsize=1', '--set=min_wal_size=80MB']

const PASSWORD_FILE = 'palomar.password'

/**
 * Makes the data directory once and returns its real path. Built aside and renamed, so a start that is killed
 * half-way leaves no ruin. Throws a `StartupError`.
 */
export async function makeCluster(binaries: PostgresBinaries, dataDir: string): Promise<string> {
  const dir = path.resolve(dataDir, 'postgres')
  try {
    await mkdir(dataDir, { recursive: true })
    if (existsSync(path.join(dir, 'PG_VERSION'))) return await realpath(dir)
    const aside = await mkdtemp(path.join(dataDir, 'postgres-new-'))
    try {
      const passwordFile = path.join(aside, PASSWORD_FILE)
      await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
      const cluster = path.join(aside, 'cluster')
      const args = ['-D', cluster, '-U', 'postgres', '-E', 'UTF8', '--auth=scram-sha-256', ...WAL]
      const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      await runToEnd([...binaries.prefix, binaries.initdb, ...args, `--pwfile=${passwordFile}`, ...locale])
      await rename(passwordFile, path.join(cluster, PASSWORD_FILE))
      await rename(cluster, dir).catch((error) => {
        // Another start was faster: its data directory is as good as ours.
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
      })
    } finally {
      await rm(aside, { recursive: true, force: true })
    }
    return await realpath(dir)
  } catch (error) {
    throw new StartupError(
      `Cannot make the embedded Postgres' data directory ${dir}: ${oneLine(error)}. ` +
        'Set PALOMAR_DATA_DIR to a folder that can be written, or DATABASE_URL to a Postgres of your own.',
    )
  }
}

/** The password that was made with the data directory. */
export async function readPassword(dir: string): Promise<string> {
  return readFile(path.join(dir, PASSWORD_FILE), 'utf8').catch((error) => {
    throw new StartupError(`Cannot read the embedded Postgres' password: ${oneLine(error)}.`)
  })
}
