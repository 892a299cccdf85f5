/**
 * Session nodes as containers of one engine: the default where an engine answers. All containers and the network of an
 * installation carry its label, so that several installations can share an engine.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type Docker from 'dockerode'
import { containerOptions, installationLabel, nodeLabels } from './container-spec.ts'
import { type ContainerDeath, watchDeaths } from './docker-events.ts'
import { containerLogs } from './docker-logs.ts'
import { type Bridge, ensureNetwork, removeNetwork } from './docker-network.ts'
import { containerStatus, type Reach } from './docker-status.ts'
import { containerUsage } from './docker-usage.ts'
import {
  asRuntimeError,
  connectEngine,
  connectEngineStreams,
  type EngineOptions,
  messageOf,
  statusOf,
  unlessMissing,
} from './engine.ts'
import { Limit, Serial } from './limit.ts'
import { unknownUsage } from './process-usage.ts'
import {
  type Handle,
  type ListedNode,
  type LogLine,
  type LogOptions,
  type NodeExit,
  type NodeSpec,
  type NodeStatus,
  type Runtime,
  RuntimeError,
  type StartedNode,
  type Usage,
} from './runtime.ts'

export interface DockerRuntimeOptions extends EngineOptions {
  /** tells this installation's containers from others on the same engine */
  installation: string
  images: { production: string; simulator?: string }
  /** the bridge network's name; `palomar-<installation>` by default */
  network?: string
  /** how nodes are reached; by default at their own address if the bridge is this machine's, or else published */
  reach?: Reach
  memoryBytes?: number
  maxStarts?: number
  /** told of failures of the event stream, which is opened again */
  onError?: (error: unknown) => void
}

const startTimeoutMs = 60_000
const lookEveryMs = 100

export class DockerRuntime implements Runtime {
  readonly kind = 'docker'
  readonly #options: DockerRuntimeOptions
  readonly #network: string
  readonly #docker: Docker
  /** creating, starting and removing wait for the disk and the kernel */
  readonly #patient: Docker
  readonly #streams: Docker
  readonly #starts: Limit
  readonly #byName = new Serial()
  readonly #inspections = new Limit(8)
  readonly #listeners = new Set<(exit: NodeExit) => void>()
  readonly #closing = new AbortController()
  #reach: Reach
  #watching: Promise<void> | undefined

  constructor(options: DockerRuntimeOptions) {
    this.#options = options
    this.#network = options.network ?? `palomar-${options.installation}`
    this.#docker = connectEngine(options)
    this.#patient = connectEngine({ ...options, timeoutMs: Math.max(options.timeoutMs ?? 0, startTimeoutMs) })
    this.#streams = connectEngineStreams(options)
    this.#starts = new Limit(options.maxStarts ?? 4)
    this.#reach = options.reach ?? 'bridge'
  }

  async prepare() {
    const { production, simulator } = this.#options.images
    for (const image of [production, simulator]) if (image !== undefined) await this.#checkImage(image)
    const bridge = await this.#bridge()
    if (bridge.gatewayIsLocal) return { listenHost: bridge.gateway, callbackHost: 'host.docker.internal' }
    if (this.#options.reach === 'bridge')
      throw new RuntimeError(
        'network_unsafe',
        `${bridge.gateway}, the gateway of ${this.#network}, is not an address of this machine: ` +
          'run the orchestrator with host networking, or reach the nodes by published ports',
      )
    this.#reach = 'published'
    // An engine in a virtual machine leads host.docker.internal to this machine's own loopback.
    return { listenHost: '127.0.0.1', callbackHost: 'host.docker.internal' }
  }

  async start(spec: NodeSpec): Promise<StartedNode> {
    return this.#byName.run(spec.name, () => this.#starts.run(() => this.#start(spec)))
  }

  async stop(handle: Handle, graceMs: number): Promise<void> {
    await this.#byName.run(String(handle.name), () =>
      this.#stop(String(handle.id), graceMs).catch((error: unknown) => {
        throw asRuntimeError(error, 'stop_failed', `stopping ${handle.name}`)
      }),
    )
  }

  async inspect(handle: Handle): Promise<NodeStatus> {
    try {
      const info = await unlessMissing(this.#docker.getContainer(String(handle.id)).inspect())
      return info ? await this.#status(info) : { status: 'gone' }
    } catch (error) {
      return { status: 'unknown', reason: messageOf(error) }
    }
  }

  async list(): Promise<ListedNode[]> {
    try {
      const containers = await this.#docker.listContainers({
        all: true,
        filters: { label: [`${installationLabel}=${this.#options.installation}`] },
      })
      const listed = await Promise.all(
        containers.map(async ({ Id: id, Names, Labels }) => {
          const name = nameOf(Names[0])
          const handle = { id, name }
          const status = await this.#inspections.run(() => this.inspect(handle))
          return { handle, name, labels: nodeLabels(Labels), status }
        }),
      )
      return listed.filter(({ status }) => status.status !== 'gone')
    } catch (error) {
      throw asRuntimeError(error, 'engine_unavailable', 'listing the containers')
    }
  }

  async *logs(handle: Handle, options: LogOptions): AsyncGenerator<LogLine> {
    const id = String(handle.id)
    const source = {
      container: this.#docker.getContainer(id),
      streamed: this.#streams.getContainer(id),
      isRunning: async () => ['running', 'unknown'].includes((await this.inspect(handle)).status),
    }
    try {
      yield* containerLogs(source, options)
    } catch (error) {
      if (statusOf(error) !== 404) throw asRuntimeError(error, 'engine_unavailable', `logs of ${handle.name}`)
    }
  }

  watch(onExit: (exit: NodeExit) => void): () => void {
    this.#listeners.add(onExit)
    const onError = this.#options.onError ?? warn
    this.#watching ??= watchDeaths(
      this.#streams,
      this.#options.installation,
      (death) => void this.#told(death).catch(onError),
      onError,
      this.#closing.signal,
    )
    return () => this.#listeners.delete(onExit)
  }

  async usage(handle: Handle): Promise<Usage> {
    const container = this.#docker.getContainer(String(handle.id))
    try {
      const info = await unlessMissing(container.inspect())
      return info ? await containerUsage(container, info) : unknownUsage
    } catch (error) {
      throw asRuntimeError(error, 'engine_unavailable', `usage of ${handle.name}`)
    }
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    this.#closing.abort()
    await this.#watching
  }

  /** Removes every container of the installation, and its network: for demos and tests. */
  async dispose(): Promise<void> {
    for (const node of await this.list()) await this.stop(node.handle, 0)
    await removeNetwork(this.#patient, this.#network)
  }

  async #start(spec: NodeSpec): Promise<StartedNode> {
    const image = this.#options.images[spec.bundle]
    if (!image)
      throw new RuntimeError('image_missing', `no image for the ${spec.bundle} bundle is configured`)
    try {
      const running = await this.#leftover(spec.name)
      if (running) return running
      const bridge = await this.#bridge()
      const container = await this.#patient.createContainer(
        containerOptions(spec, {
          installation: this.#options.installation,
          image,
          network: this.#network,
          host: bridge.gatewayIsLocal ? bridge.gateway : 'host-gateway',
          publish: this.#reach === 'published',
          memoryBytes: this.#options.memoryBytes ?? 256 * 1024 * 1024,
        }),
      )
      try {
        await container.start()
        const status = await this.#status(await container.inspect())
        const handle = { id: container.id, name: spec.name }
        if (status.status === 'running') return { handle, address: status.address }
        const reason = status.status === 'gone' ? 'it vanished' : status.reason
        throw new RuntimeError('start_failed', `${spec.name}: ${reason}`)
      } catch (error) {
        await unlessMissing(container.remove({ force: true, v: true }))
        throw error
      }
    } catch (error) {
      if (statusOf(error) === 404) throw asRuntimeError(error, 'image_missing', `starting ${spec.name}`)
      throw asRuntimeError(error, 'start_failed', `starting ${spec.name}`)
    }
  }

  /** The running node of the name, if there is one; a dead one is removed. */
  async #leftover(name: string): Promise<StartedNode | undefined> {
    const info = await unlessMissing(this.#docker.getContainer(name).inspect())
    if (!info) return undefined
    if (info.Config.Labels[installationLabel] !== this.#options.installation)
      throw new RuntimeError('start_failed', `a container named ${name} belongs to something else`)
    const status = await this.#status(info)
    if (status.status === 'running') return { handle: { id: info.Id, name }, address: status.address }
    await unlessMissing(this.#patient.getContainer(info.Id).remove({ force: true, v: true }))
    return undefined
  }

  async #stop(id: string, graceMs: number): Promise<void> {
    const container = this.#docker.getContainer(id)
    if (!(await unlessMissing(container.inspect()))) return
    if (graceMs > 0 && (await this.#terminate(container))) {
      const deadline = Date.now() + graceMs
      while ((await unlessMissing(container.inspect()))?.State.Running && Date.now() < deadline)
        await delay(lookEveryMs)
    }
    try {
      await unlessMissing(this.#patient.getContainer(id).remove({ force: true, v: true }))
    } catch (error) {
      // Someone else is removing it already.
      if (statusOf(error) !== 409) throw error
    }
  }

  /** Says whether there was something to terminate. */
  async #terminate(container: Docker.Container): Promise<boolean> {
    try {
      await container.kill({ signal: 'SIGTERM' })
      return true
    } catch (error) {
      const status = statusOf(error)
      if (status === 404 || status === 409) return false
      throw error
    }
  }

  async #status(info: Docker.ContainerInspectInfo): Promise<NodeStatus> {
    const lastWords = async () => {
      const container = this.#docker.getContainer(info.Id)
      return (await container.logs({ stderr: true, tail: 50, follow: false })).toString('utf8')
    }
    return containerStatus(info, { reach: this.#reach, network: this.#network, lastWords })
  }

  async #told({ id, name, labels, exitCode, oomKilled }: ContainerDeath): Promise<void> {
    const handle = { id, name }
    const status = await this.#inspections.run(() => this.inspect(handle))
    const exit = {
      handle,
      name,
      labels: nodeLabels(labels),
      exitCode,
      oomKilled: oomKilled || (status.status === 'exited' && status.oomKilled),
    }
    for (const listener of this.#listeners) listener(exit)
  }

  async #bridge(): Promise<Bridge> {
    try {
      const labels = { [installationLabel]: this.#options.installation }
      return await ensureNetwork(this.#patient, this.#network, labels)
    } catch (error) {
      throw asRuntimeError(error, 'start_failed', `network ${this.#network}`)
    }
  }

  async #checkImage(image: string): Promise<void> {
    try {
      await this.#docker.getImage(image).inspect()
    } catch (error) {
      throw asRuntimeError(error, 'image_missing', `image ${image} (build it, or pull it)`)
    }
  }
}

/** The engine puts a slash before names. */
const nameOf = (name: string | undefined) => (name ?? '').replace(/^\//, '')

const warn = (error: unknown) => process.emitWarning(error instanceof Error ? error : String(error))
