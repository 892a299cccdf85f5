/** A session node as a container: no rights, no disk, no way to other sessions, and a bound on all that it can use. */
import type Docker from 'dockerode'
import type { NodeSpec } from './runtime.ts'

export const nodePort = 3000
export const installationLabel = 'palomar.installation'
const nodeLabelPrefix = 'palomar.node.'

export interface ContainerPlacement {
  installation: string
  image: string
  network: string
  /** what host.docker.internal means to the node: an address, or `host-gateway` */
  host: string
  /** publish the node's port at 127.0.0.1 of the engine's machine */
  publish: boolean
  memoryBytes: number
}

const mebibyte = 1024 * 1024

export function containerOptions(
  spec: NodeSpec,
  placement: ContainerPlacement,
): Docker.ContainerCreateOptions {
  const { installation, image, network, host, publish, memoryBytes } = placement
  const port = `${nodePort}/tcp`
  return {
    name: spec.name,
    Image: image,
    User: '10001:10001',
    Env: Object.entries({ ...spec.env, HOST: '0.0.0.0', PORT: String(nodePort) }).map(
      ([name, value]) => `${name}=${value}`,
    ),
    Labels: {
      [installationLabel]: installation,
      ...Object.fromEntries(
        Object.entries(spec.labels).map(([name, value]) => [nodeLabelPrefix + name, value]),
      ),
    },
    ExposedPorts: { [port]: {} },
    HostConfig: {
      NetworkMode: network,
      ExtraHosts: [`host.docker.internal:${host}`],
      ...(publish && { PortBindings: { [port]: [{ HostIp: '127.0.0.1', HostPort: '' }] } }),
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      Memory: memoryBytes,
      // the same as Memory: no swap
      MemorySwap: memoryBytes,
      MemoryReservation: Math.min(96 * mebibyte, memoryBytes),
      PidsLimit: 64,
      CpuShares: 256,
      // under pressure the kernel takes a session, not the orchestrator or the database
      OomScoreAdj: 300,
      Ulimits: [
        { Name: 'nofile', Soft: 4096, Hard: 4096 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      Tmpfs: { '/tmp': 'rw,noexec,nosuid,nodev,size=16m,mode=0700,uid=10001,gid=10001' },
      // the reconciler decides whether a node runs again
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } },
    },
  }
}

/** The labels that the node was started with, out of the container's. */
export function nodeLabels(labels: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels)
      .filter(([name]) => name.startsWith(nodeLabelPrefix))
      .map(([name, value]) => [name.slice(nodeLabelPrefix.length), value]),
  )
}
