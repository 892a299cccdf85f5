/** Which driver a run uses, and what it needs of it beforehand and afterwards. */
import { DockerRuntime } from '../orchestrator/src/nodes/runtime/docker-runtime.ts'
import { detectEngine } from '../orchestrator/src/nodes/runtime/engine.ts'
import { openRuntime as openDriver } from '../orchestrator/src/nodes/runtime/open-runtime.ts'

export type RuntimeChoice = 'docker' | 'process'

/** What was asked for, else docker where an engine answers. Throws when docker was asked for and none does. */
export async function chooseRuntime(asked: string | undefined): Promise<RuntimeChoice> {
  if (asked !== undefined && asked !== 'docker' && asked !== 'process') {
    throw new Error(`--runtime is docker or process, not ${asked}`)
  }
  if (asked === 'process') return 'process'
  const engine = await detectEngine()
  if (asked === 'docker' && !engine)
    throw new Error('no container engine answers: start Docker or use --runtime process')
  return engine ? 'docker' : 'process'
}

/**
 * Prepares the driver's network or folder, so that the simulator can listen where nodes will reach it, and gives back
 * how to remove every node of the installation.
 */
export async function openRuntime(
  kind: RuntimeChoice,
  options: { installation: string; dataDir: string },
): Promise<{ simulatorHost: string; cleanUp: () => Promise<void> }> {
  const runtime = await openDriver({
    kind,
    ...options,
    simulator: true,
    onProgress: (line) => console.error(line),
  })
  const { listenHost } = await runtime.prepare()
  return {
    simulatorHost: listenHost,
    async cleanUp() {
      if (runtime instanceof DockerRuntime) await runtime.dispose()
      else for (const node of await runtime.list()) await runtime.stop(node.handle, 0)
      await runtime.close()
    },
  }
}
