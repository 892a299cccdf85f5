import { execFile } from 'node:child_process'
import { readFile, readlink, realpath, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

/** What Postgres writes of itself into its data directory. */
export interface Postmaster {
  pid: number
  /** 0 while it has not written it yet */
  port: number
}

/**
 * Reads `postmaster.pid`; `null` when there is none.
 * The process it names may be long dead: see `isAlive`.
 */
export async function readPostmaster(dir: string): Promise<Postmaster | null> {
  const text = await readFile(path.join(dir, 'postmaster.pid'), 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const lines = text.split('\n')
  const pid = Number(lines[0])
  return pid > 0 ? { pid, port: Number(lines[3]) || 0 } : null
}

/**
 * Whether that process still is a Postgres that runs in `dir`: neither dead, nor a zombie that nobody reaps
 * (common in containers), nor another program that was given the same number after a reboot.
 */
export async function isAlive(pid: number, dir: string): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  if (process.platform === 'win32') return true
  if (process.platform !== 'linux') {
    const ps = await promisify(execFile)('ps', ['-o', 'stat=,comm=', '-p', String(pid)]).catch(() => null)
    return ps !== null && !ps.stdout.trimStart().startsWith('Z') && ps.stdout.includes('postgres')
  }
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    if (/\) Z /.test(stat)) return false
    // A postmaster's working directory is its data directory.
    const cwd = await readlink(`/proc/${pid}/cwd`).catch((error) => {
      if (error.code === 'EACCES') return null
      throw error
    })
    return cwd === null ? stat.includes('(postgres)') : cwd === (await realpath(dir))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return false
    throw error
  }
}

/**
 * Lets Postgres start over the `postmaster.pid` of a process that is not a Postgres any more.
 * Postgres takes over a file that names a dead process, or its own parent, and then checks that no child of the
 * old server is still attached to the shared memory it names. Deleting the file would skip that check, so we put
 * the coming parent's number into it instead.
 */
export async function releaseStalePidFile(dir: string): Promise<void> {
  const file = path.join(dir, 'postmaster.pid')
  const text = await readFile(file, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text !== null) await writeFile(file, text.replace(/^.*/, String(process.pid)))
}
