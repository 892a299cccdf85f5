/** What an inspected container's state means. */
import type Docker from 'dockerode'
import { nodePort } from './container-spec.ts'
import { exitReason, heapExhausted } from './exit-reason.ts'
import type { NodeStatus } from './runtime.ts'

/** 'bridge': at its own address on the network; 'published': at a port of 127.0.0.1 */
export type Reach = 'bridge' | 'published'

export interface StatusContext {
  reach: Reach
  network: string
  /** the end of its stderr, asked only when it aborted */
  lastWords: () => Promise<string>
}

/** 128 + SIGABRT: how V8 ends at its heap limit */
const aborted = 134
const neverStarted = /^0001-/

export async function containerStatus(
  info: Docker.ContainerInspectInfo,
  { reach, network, lastWords }: StatusContext,
): Promise<NodeStatus> {
  const { State } = info
  if (State.Running) {
    const address = reach === 'bridge' ? bridgeAddress(info, network) : publishedAddress(info)
    // Never an address with no host: Node takes that for localhost.
    if (!address) return { status: 'unknown', reason: `it runs, but has no address (${reach})` }
    return { status: 'running', address, startedAt: new Date(State.StartedAt) }
  }
  if (neverStarted.test(State.StartedAt)) {
    const reason = State.Error ? `it could not be started: ${State.Error}` : 'it was made but never started'
    return { status: 'exited', exitCode: null, oomKilled: false, reason }
  }
  const exitCode = State.ExitCode
  const oomKilled = State.OOMKilled || (exitCode === aborted && heapExhausted.test(await lastWords()))
  return { status: 'exited', exitCode, oomKilled, reason: State.Error || exitReason({ exitCode, oomKilled }) }
}

function bridgeAddress(info: Docker.ContainerInspectInfo, network: string): string | undefined {
  const ip = info.NetworkSettings.Networks[network]?.IPAddress
  return ip ? `http://${ip}:${nodePort}` : undefined
}

function publishedAddress(info: Docker.ContainerInspectInfo): string | undefined {
  const port = info.NetworkSettings.Ports[`${nodePort}/tcp`]?.[0]?.HostPort
  return port ? `http://127.0.0.1:${port}` : undefined
}
