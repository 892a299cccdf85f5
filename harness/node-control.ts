/** Session nodes from outside, as an operator with a shell could treat them: found, killed, frozen, read. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { connectEngine, statusOf, unlessMissing } from '../orchestrator/src/nodes/runtime/engine.ts'
import { isAlive } from '../orchestrator/src/nodes/runtime/process-group.ts'
import { readState } from '../orchestrator/src/nodes/runtime/process-state.ts'
import { descendants } from '../orchestrator/src/nodes/runtime/process-usage.ts'
import type { RuntimeChoice } from './engine.ts'

/** A node that runs now. Each act says whether it was still there to suffer it. */
export interface LiveNode {
  name: string
  sessionId: string
  /** its processes as this machine knows them; none where the engine is elsewhere, or once it has gone */
  pids(): Promise<number[]>
  /** SIGKILL */
  kill(): Promise<boolean>
  /** frozen, its sockets open */
  pause(): Promise<boolean>
  resume(): Promise<boolean>
}

/** Lists the nodes of one installation that run now, past the orchestrator and its driver's bookkeeping. */
export type ListNodes = () => Promise<LiveNode[]>

export function nodeLister(
  runtime: RuntimeChoice,
  { installation, dataDir }: { installation: string; dataDir: string },
): ListNodes {
  return runtime === 'docker' ? () => containers(installation) : () => processes(path.join(dataDir, 'nodes'))
}

async function containers(installation: string): Promise<LiveNode[]> {
  const docker = connectEngine()
  const found = await docker.listContainers({ filters: { label: [`palomar.installation=${installation}`] } })
  return found.map(({ Id, Names, Labels }) => {
    const container = docker.getContainer(Id)
    // 404: gone; 409: not running; and 500 with words where it is not paused, or where a busy kernel does not freeze it.
    const act = (call: Promise<unknown>) =>
      call.then(
        () => true,
        (error: unknown) => {
          if (statusOf(error) === 404 || statusOf(error) === 409) return false
          if (/is not paused|unable to freeze/.test(String(error))) return false
          throw error
        },
      )
    return {
      name: (Names[0] ?? '').replace(/^\//, ''),
      sessionId: Labels['palomar.node.session_id'] ?? '',
      async pids() {
        const pid = (await unlessMissing(container.inspect()))?.State.Pid
        return pid ? [pid, ...(await descendants(pid))] : []
      },
      kill: () => act(container.kill()),
      pause: () => act(container.pause()),
      resume: () => act(container.unpause()),
    }
  })
}

async function processes(root: string): Promise<LiveNode[]> {
  const states = await Promise.all((await readdir(root)).map((name) => readState(path.join(root, name))))
  const nodes: LiveNode[] = []
  for (const state of states) {
    // Without a port it is still being born, and nobody counts on it yet.
    if (!state || state.port === null || !(await isAlive(state))) continue
    const signal = async (name: NodeJS.Signals) => {
      if (!(await isAlive(state))) return false
      process.kill(-state.pid, name)
      return true
    }
    nodes.push({
      name: state.name,
      sessionId: state.labels.session_id ?? '',
      pids: async () => ((await isAlive(state)) ? [state.pid, ...(await descendants(state.pid))] : []),
      kill: () => signal('SIGKILL'),
      pause: () => signal('SIGSTOP'),
      resume: () => signal('SIGCONT'),
    })
  }
  return nodes
}
