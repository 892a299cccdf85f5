/** What a container uses: from /proc where its processes are this machine's, or else from the engine, which is dearer. */
import { readFile } from 'node:fs/promises'
import type Docker from 'dockerode'
import { codeOf } from './error-code.ts'
import { descendants, processUsage, unknownUsage } from './process-usage.ts'
import type { Usage } from './runtime.ts'

export async function containerUsage(
  container: Docker.Container,
  { Id, State }: Docker.ContainerInspectInfo,
) {
  if (!State.Running) return unknownUsage
  if (await isProcessOf(State.Pid, Id)) {
    const usage = await processUsage([State.Pid, ...(await descendants(State.Pid))])
    if (usage.privateBytes !== null) return usage
  }
  return fromEngine(await container.stats({ stream: false, 'one-shot': true }))
}

/** The engine may be on another machine, where the pid means something else. */
async function isProcessOf(pid: number, containerId: string): Promise<boolean> {
  try {
    return (await readFile(`/proc/${pid}/cgroup`, 'utf8')).includes(containerId)
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(codeOf(error) ?? '')) return false
    throw error
  }
}

function fromEngine({ memory_stats: memory, cpu_stats: cpu }: Docker.ContainerStats): Usage {
  if (memory.usage === undefined) return unknownUsage
  // files that the kernel would drop at need; the name depends on the version of cgroups
  const cache = memory.stats?.total_inactive_file ?? memory.stats?.inactive_file ?? 0
  return {
    privateBytes: memory.usage - cache,
    pssBytes: null,
    cpuSeconds: cpu.cpu_usage.total_usage / 1e9,
  }
}
