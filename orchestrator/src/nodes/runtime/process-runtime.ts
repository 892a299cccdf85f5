/**
 * Session nodes as processes of this machine: the default where no container engine answers.
 *
 * A node is detached, in a process group of its own, and holds no pipe to the orchestrator, so it outlives it. It
 * listens at a free port of 127.0.0.1, tells the port over the IPC channel, and is then let go. All that is known of it
 * is in `<dataDir>/nodes/<name>/`: its state and its logs. A new orchestrator adopts it from there.
 *
 * A node whose parent dies before it has said that it wrote the port down must exit when the channel closes: nobody could
 * find it.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { exitReason, heapExhausted } from './exit-reason.ts'
import { Limit, Serial } from './limit.ts'
import { endOfLog, readLogs, rotateLogs } from './log-files.ts'
import { endGroup, isAlive } from './process-group.ts'
import { liveProcesses } from './process-identity.ts'
import { launch } from './process-launch.ts'
import { type ProcessState, readState, validName, writeState } from './process-state.ts'
import { processUsage, unknownUsage } from './process-usage.ts'
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

export interface ProcessRuntimeOptions {
  dataDir: string
  /** the files that a node runs */
  bundles: { production: string; simulator?: string }
  /** how long a node may take to tell its port */
  startTimeoutMs?: number
  /** nodes that may be starting at once: each takes a core for a moment */
  maxStarts?: number
  /** a log file is rotated past this size; three are kept */
  maxLogBytes?: number
  /** told of failures of the background checks, which go on */
  onError?: (error: unknown) => void
}

const tickMs = 1_000
const rotateEveryTicks = 5

/** A node that was alive when it was last looked at. */
interface Live {
  state: ProcessState
  /** resolves once its exit is written down; a child of this very process has it from its start */
  exited?: Promise<void>
  hold?: () => void
}

export class ProcessRuntime implements Runtime {
  readonly kind = 'process'
  readonly #options: Required<ProcessRuntimeOptions>
  readonly #root: string
  readonly #live = new Map<string, Live>()
  readonly #listeners = new Set<(exit: NodeExit) => void>()
  readonly #byName = new Serial()
  readonly #starts: Limit
  #ticker: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: ProcessRuntimeOptions) {
    this.#options = {
      startTimeoutMs: 15_000,
      maxStarts: 4,
      maxLogBytes: 10 * 1024 * 1024,
      onError: (error) => process.emitWarning(error instanceof Error ? error : String(error)),
      ...options,
    }
    this.#root = resolve(options.dataDir, 'nodes')
    this.#starts = new Limit(this.#options.maxStarts)
  }

  async prepare() {
    for (const bundle of Object.values(this.#options.bundles)) await this.#checkBundle(bundle)
    await mkdir(this.#root, { recursive: true, mode: 0o700 })
    await this.list()
    this.#tick(0)
    return { listenHost: '127.0.0.1', callbackHost: '127.0.0.1' }
  }

  async start(spec: NodeSpec): Promise<StartedNode> {
    if (!validName(spec.name)) throw new RuntimeError('start_failed', `'${spec.name}' cannot name a node`)
    return this.#byName.run(spec.name, () => this.#starts.run(() => this.#start(spec)))
  }

  async stop(handle: Handle, graceMs: number): Promise<void> {
    if (!validName(handle.name)) return
    await this.#byName.run(handle.name, () => this.#stop(handle, graceMs))
  }

  async inspect(handle: Handle): Promise<NodeStatus> {
    try {
      const state = await this.#find(handle)
      return state ? await this.#status(state) : { status: 'gone' }
    } catch (error) {
      return { status: 'unknown', reason: messageOf(error) }
    }
  }

  async list(): Promise<ListedNode[]> {
    const names = await this.#needed(readdir(this.#root))
    const listed = await Promise.all(names.filter(validName).map((name) => this.#listed(name)))
    return listed.filter((node) => node !== undefined)
  }

  async *logs(handle: Handle, options: LogOptions): AsyncGenerator<LogLine> {
    const state = await this.#find(handle)
    if (state) yield* readLogs(this.#folder(state.name), options, () => isAlive(state))
  }

  watch(onExit: (exit: NodeExit) => void): () => void {
    this.#listeners.add(onExit)
    return () => this.#listeners.delete(onExit)
  }

  async usage(handle: Handle): Promise<Usage> {
    const state = await this.#find(handle)
    return state && (await isAlive(state)) ? processUsage([state.pid]) : unknownUsage
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#ticker)
    this.#listeners.clear()
  }

  async #start(spec: NodeSpec): Promise<StartedNode> {
    const bundle = this.#options.bundles[spec.bundle]
    if (!bundle) throw new RuntimeError('bundle_missing', `no ${spec.bundle} bundle is configured`)
    await this.#checkBundle(bundle)
    const folder = this.#folder(spec.name)
    const before = await readState(folder)
    if (before && (await isAlive(before))) {
      if (before.port !== null) return started(before)
      await endGroup(before, 0)
    }
    if (before) await this.#settled(before)
    await rm(folder, { recursive: true, force: true })

    const node = await launch(spec, folder, resolve(bundle), this.#options.startTimeoutMs)
    const live: Live = { state: node.state, hold: node.hold }
    this.#live.set(spec.name, live)
    live.exited = node.exited.then(({ code, signal }) => this.#ended(live.state, code, signal))
    live.exited.catch(this.#options.onError)
    return started(node.state)
  }

  async #stop(handle: Handle, graceMs: number): Promise<void> {
    const state = await this.#find(handle)
    if (!state) return
    if (await isAlive(state)) await endGroup(state, graceMs)
    await this.#settled(state)
    await rm(this.#folder(state.name), { recursive: true, force: true })
  }

  async #listed(name: string): Promise<ListedNode | undefined> {
    try {
      const state = await readState(this.#folder(name))
      if (!state) return undefined
      const status = await this.#status(state)
      if (status.status === 'running' && !this.#live.has(name)) this.#live.set(name, { state })
      return { handle: started(state).handle, name, labels: state.labels, status }
    } catch (error) {
      return { handle: { name }, name, labels: {}, status: { status: 'unknown', reason: messageOf(error) } }
    }
  }

  async #status(state: ProcessState): Promise<NodeStatus> {
    if (await isAlive(state)) {
      if (state.port === null) return { status: 'unknown', reason: 'it has not told its port yet' }
      return { status: 'running', address: addressOf(state.port), startedAt: new Date(state.startedAt) }
    }
    await this.#settled(state)
    const after = await readState(this.#folder(state.name))
    if (!after || !isSame(after, state)) return { status: 'gone' }
    const ending = after.ending ?? (await this.#ending(state, null, null))
    return { status: 'exited', ...ending, reason: exitReason(ending) }
  }

  /** Waits until the end of a dead node is written down, if it was alive when this orchestrator first saw it. */
  async #settled(state: ProcessState): Promise<void> {
    const live = this.#live.get(state.name)
    if (!live || !isSame(live.state, state)) return
    live.hold?.()
    live.exited ??= this.#ended(live.state, null, null)
    await live.exited
  }

  async #ended(state: ProcessState, exitCode: number | null, signal: NodeJS.Signals | null): Promise<void> {
    const ending = await this.#ending(state, exitCode, signal)
    writeState(this.#folder(state.name), { ...state, ending })
    this.#live.delete(state.name)
    const { handle } = started(state)
    const exit = { handle, name: state.name, labels: state.labels, exitCode, oomKilled: ending.oomKilled }
    for (const listener of this.#listeners) {
      try {
        listener(exit)
      } catch (error) {
        this.#options.onError(error)
      }
    }
  }

  async #ending(state: ProcessState, exitCode: number | null, signal: NodeJS.Signals | null) {
    const aborted = signal === 'SIGABRT' || (exitCode === null && signal === null)
    const oomKilled =
      aborted && heapExhausted.test(await endOfLog(this.#folder(state.name), 'stderr', 8 * 1024))
    return { exitCode, oomKilled, ...(signal && { signal }) }
  }

  /** The state that the handle means; a later node of the same name is another one. */
  async #find(handle: Handle): Promise<ProcessState | undefined> {
    if (!validName(handle.name)) return undefined
    await this.#needed(stat(this.#root))
    const state = await readState(this.#folder(handle.name))
    return state && isSame(state, handle) ? state : undefined
  }

  #tick(count: number): void {
    if (this.#closed) return
    this.#ticker = setTimeout(() => {
      this.#check(count)
        .catch(this.#options.onError)
        .finally(() => this.#tick(count + 1))
    }, tickMs).unref()
  }

  /** Nobody tells of the exit of a node that is not a child of this process. */
  async #check(count: number): Promise<void> {
    const nodes = [...this.#live.values()]
    const alive = await liveProcesses(nodes.map(({ state }) => state.pid))
    for (const live of nodes) {
      if (alive.get(live.state.pid) === live.state.identity) {
        if (count % rotateEveryTicks === 0)
          await rotateLogs(this.#folder(live.state.name), this.#options.maxLogBytes)
      } else await this.#settled(live.state)
    }
  }

  /** Without its folder nothing is known of any node, which is not the same as there being none. */
  async #needed<T>(work: Promise<T>): Promise<T> {
    return work.catch((error: unknown) => {
      throw new RuntimeError('engine_unavailable', `${this.#root} cannot be read`, { cause: error })
    })
  }

  async #checkBundle(path: string): Promise<void> {
    await stat(path).catch((error: unknown) => {
      throw new RuntimeError('bundle_missing', `${path} is missing: build the session node first`, {
        cause: error,
      })
    })
  }

  #folder(name: string): string {
    return join(this.#root, name)
  }
}

const addressOf = (port: number) => `http://127.0.0.1:${port}`

function started({ name, pid, identity, port }: ProcessState): StartedNode {
  return { handle: { name, pid, identity }, address: addressOf(port ?? 0) }
}

const isSame = (state: ProcessState, other: Handle | ProcessState) =>
  state.pid === other.pid && state.identity === other.identity

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
