/** What processes of this machine use, from /proc; other platforms do not tell shared memory apart. */
import { readFile } from 'node:fs/promises'
import { codeOf } from './error-code.ts'
import { procStat } from './process-identity.ts'
import type { Usage } from './runtime.ts'

/** USER_HZ, in which the kernel tells CPU time: 100 on every platform that Node runs on. */
const ticksPerSecond = 100

export const unknownUsage: Usage = { privateBytes: null, pssBytes: null, cpuSeconds: null }

/** The usage of the processes together; unknown where /proc does not tell it to this user. */
export async function processUsage(pids: readonly number[]): Promise<Usage> {
  if (process.platform !== 'linux' || pids.length === 0) return unknownUsage
  const all = await Promise.all(pids.map(usageOfOne))
  return {
    privateBytes: sum(all.map((one) => one.privateBytes)),
    pssBytes: sum(all.map((one) => one.pssBytes)),
    cpuSeconds: sum(all.map((one) => one.cpuSeconds)),
  }
}

async function usageOfOne(pid: number): Promise<Usage> {
  const stat = await procStat(pid)
  const memory = await readIfAllowed(`/proc/${pid}/smaps_rollup`)
  const kilobytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(memory ?? '')?.[1])
  return {
    privateBytes: memory ? (kilobytes('Private_Clean') + kilobytes('Private_Dirty')) * 1024 : null,
    pssBytes: memory ? kilobytes('Pss') * 1024 : null,
    cpuSeconds: stat ? (Number(stat[11]) + Number(stat[12])) / ticksPerSecond : null,
  }
}

/** The children of a process, and theirs. */
export async function descendants(pid: number): Promise<number[]> {
  const children = await readIfAllowed(`/proc/${pid}/task/${pid}/children`)
  const pids = (children ?? '').split(' ').filter(Boolean).map(Number)
  return [...pids, ...(await Promise.all(pids.map(descendants))).flat()]
}

async function readIfAllowed(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(codeOf(error) ?? '')) return undefined
    throw error
  }
}

function sum(values: (number | null)[]): number | null {
  return values.reduce((total, value) => (total === null || value === null ? null : total + value), 0)
}
