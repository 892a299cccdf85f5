/** What the parts of a stack use of this machine: CPU over a while, memory once it has settled. */
import { setTimeout as delay } from 'node:timers/promises'
import { nodeLister } from '../harness/node-control.ts'
import type { Stack } from '../harness/stack.ts'
import { procStat } from '../orchestrator/src/nodes/runtime/process-identity.ts'
import { descendants, processUsage } from '../orchestrator/src/nodes/runtime/process-usage.ts'
import { median, round } from './summary.ts'

export const parts = ['orchestrator', 'nodes', 'postgres', 'simulator'] as const
export type Part = (typeof parts)[number]

const MEBIBYTE = 1024 * 1024

async function pidsOf(stack: Stack): Promise<Record<Part, number[][]>> {
  if (!stack.postgres) throw new Error('a Postgres of somebody else cannot be measured')
  const nodes = await nodeLister(stack.runtime, stack)()
  const postmaster = stack.postgres.pid
  return {
    orchestrator: [[stack.orchestrator.pid]],
    nodes: await Promise.all(nodes.map((node) => node.pids())),
    postgres: [[postmaster, ...(await descendants(postmaster))]],
    simulator: [[stack.simulator.pid]],
  }
}

/** CPU seconds that each part has used since its start. */
export async function cpuOf(stack: Stack): Promise<Record<Part, number>> {
  const pids = await pidsOf(stack)
  const seconds = await Promise.all(
    parts.map(async (part) => {
      const each = await Promise.all(pids[part].flat().map(cpuSeconds))
      return [part, each.reduce((sum, one) => sum + one, 0)]
    }),
  )
  return Object.fromEntries(seconds) as Record<Part, number>
}

/** USER_HZ, in which the kernel tells CPU time: 100 on every platform that Node runs on */
const TICKS_PER_SECOND = 100

/** Of the process and of its children that have ended: Postgres ends the backends of connections that idle. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await procStat(pid)
  const [user, system, endedUser, endedSystem] = (stat ?? []).slice(11, 15).map(Number)
  const ticks = (user ?? 0) + (system ?? 0) + (endedUser ?? 0) + (endedSystem ?? 0)
  return ticks / TICKS_PER_SECOND
}

/** CPU milliseconds of each part for one of `count`. */
export function cpuPer(count: number, before: Record<Part, number>, after: Record<Part, number>) {
  const each = parts.map((part) => [part, round(((after[part] - before[part]) * 1000) / count, 2)])
  return Object.fromEntries(each) as Record<Part, number>
}

export interface Memory {
  /** MB not shared with any other process, and MB with shared pages divided by who shares them */
  private: number
  pss: number
}

async function memoryOf(pids: number[]): Promise<Memory> {
  const { privateBytes, pssBytes } = await processUsage(pids)
  if (privateBytes === null || pssBytes === null)
    throw new Error('this platform does not tell private memory: /proc/<pid>/smaps_rollup is needed')
  return { private: privateBytes / MEBIBYTE, pss: pssBytes / MEBIBYTE }
}

export interface MemoryReport {
  sessions: number
  /** of one session: the middle and the largest of all */
  session: Memory & { private_max: number }
  orchestrator: Memory
  postgres: Memory
  settled: boolean
}

/** private: a tenth of a MB more or less is what a V8 that idles does */
const STILL_MB = 0.3
const LOOK_MS = 1_000
const STILL_LOOKS = 4

/** Looks until the sessions' memory stands still, for a limited time; `settled` says whether it did. */
export async function settledMemory(stack: Stack, limitMs: number): Promise<MemoryReport> {
  const deadline = Date.now() + limitMs
  let still = 0
  let before = Number.POSITIVE_INFINITY
  for (;;) {
    const pids = await pidsOf(stack)
    const sessions = await Promise.all(pids.nodes.map(memoryOf))
    const now = median(sessions.map((session) => session.private))
    still = Math.abs(now - before) < STILL_MB ? still + 1 : 0
    before = now
    if (still < STILL_LOOKS && Date.now() < deadline) {
      await delay(LOOK_MS)
      continue
    }
    return {
      sessions: sessions.length,
      session: {
        private: round(now),
        pss: round(median(sessions.map(({ pss }) => pss))),
        private_max: round(Math.max(...sessions.map((session) => session.private))),
      },
      orchestrator: rounded(await memoryOf(pids.orchestrator.flat())),
      postgres: rounded(await memoryOf(pids.postgres.flat())),
      settled: still >= STILL_LOOKS,
    }
  }
}

const rounded = (memory: Memory): Memory => ({ private: round(memory.private), pss: round(memory.pss) })
