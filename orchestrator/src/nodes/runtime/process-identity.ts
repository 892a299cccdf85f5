/**
 * Tells one process from another that later got the same pid.
 * An identity is the pid's start time (on Linux with the boot it belongs to); a zombie has none.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { codeOf } from './error-code.ts'

const run = promisify(execFile)
let bootId: Promise<string> | undefined

/** The identities of those of the pids that are alive. */
export async function liveProcesses(pids: readonly number[]): Promise<Map<number, string>> {
  const live = new Map<number, string>()
  if (pids.length === 0) return live
  if (process.platform !== 'linux') return fromPs(pids)
  await Promise.all(
    pids.map(async (pid) => {
      const identity = await fromProc(pid)
      if (identity) live.set(pid, identity)
    }),
  )
  return live
}

/** The identity of one pid, or undefined when no such process is alive. */
export async function identityOf(pid: number): Promise<string | undefined> {
  return (await liveProcesses([pid])).get(pid)
}

/** The fields of /proc/<pid>/stat after the name, which may itself hold spaces and brackets; undefined when it is gone. */
export async function procStat(pid: number): Promise<string[] | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined
    throw error
  }
}

async function fromProc(pid: number): Promise<string | undefined> {
  const fields = await procStat(pid)
  if (!fields || fields[0] === 'Z' || fields[0] === 'X') return undefined
  bootId ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then((id) => id.trim())
  return `${await bootId}/${fields[19]}`
}

async function fromPs(pids: readonly number[]): Promise<Map<number, string>> {
  const live = new Map<number, string>()
  // ps answers 1 when some of the pids are gone, and prints the others.
  const { stdout } = await run('ps', ['-o', 'pid=,stat=,lstart=', '-p', pids.join(',')], {
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    timeout: 5_000,
  }).catch((error: { code?: unknown; stdout?: string }) => {
    if (error.code === 1) return { stdout: error.stdout ?? '' }
    throw error
  })
  for (const line of stdout.split('\n')) {
    const match = /^\s*(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line)
    if (match?.[1] && match[2] && match[3] && !match[2].startsWith('Z')) live.set(Number(match[1]), match[3])
  }
  return live
}
