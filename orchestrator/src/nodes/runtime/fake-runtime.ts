/** A driver of the fake engine, for tests of what uses a runtime. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { FakeEngine, FakeNode } from './fake-engine.ts'
import { Serial } from './limit.ts'
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

export class FakeRuntime implements Runtime {
  readonly kind = 'fake'
  /** 'refuses': as an engine that is down; 'hangs': no call ever settles */
  engineState: 'answers' | 'refuses' | 'hangs' = 'answers'
  readonly #engine: FakeEngine
  readonly #byName = new Serial()
  readonly #unwatch = new Set<() => void>()

  constructor(engine: FakeEngine) {
    this.#engine = engine
  }

  async prepare() {
    await this.#reach()
    return { listenHost: '127.0.0.1', callbackHost: '127.0.0.1' }
  }

  async start(spec: NodeSpec): Promise<StartedNode> {
    await this.#reach()
    return this.#byName.run(spec.name, async () => {
      this.#engine.starts.push(spec)
      await this.#engine.beforeStart(spec)
      const before = this.#engine.nodes.get(spec.name)
      const node = before?.status.status === 'running' ? before : await this.#engine.launch(spec)
      if (node.status.status !== 'running') throw new RuntimeError('start_failed', 'it ended at once')
      return { handle: node.handle, address: node.status.address }
    })
  }

  async stop(handle: Handle, graceMs: number): Promise<void> {
    await this.#reach()
    await this.#byName.run(String(handle.name), async () => {
      await this.#engine.beforeStop(handle)
      const node = this.#find(handle)
      if (!node) return
      if (node.ignoresSigterm) await delay(graceMs)
      this.#engine.exit(node.spec.name, 0)
      this.#engine.nodes.delete(node.spec.name)
    })
  }

  async inspect(handle: Handle): Promise<NodeStatus> {
    if (this.engineState === 'refuses') return { status: 'unknown', reason: 'the fake engine refuses' }
    await this.#reach()
    return this.#find(handle)?.status ?? { status: 'gone' }
  }

  async list(): Promise<ListedNode[]> {
    await this.#reach()
    return [...this.#engine.nodes.values()].map(({ handle, spec: { name, labels }, status }) => ({
      handle,
      name,
      labels,
      status,
    }))
  }

  async *logs(handle: Handle, { tail, since, follow, signal }: LogOptions): AsyncGenerator<LogLine> {
    await this.#reach()
    const node = this.#find(handle)
    if (!node) return
    const all = node.lines.filter((line) => !since || line.at >= since)
    yield* tail === undefined ? all : all.slice(Math.max(0, all.length - tail))
    let last = node.lines.at(-1)
    while (follow && !signal?.aborted) {
      const fresh = node.lines.slice(last ? node.lines.lastIndexOf(last) + 1 : 0)
      last = node.lines.at(-1)
      yield* fresh
      if (fresh.length > 0) continue
      if (node.status.status !== 'running') return
      await once(node.events, 'change', { signal }).catch((error: unknown) => {
        if (!signal?.aborted) throw error
      })
    }
  }

  watch(onExit: (exit: NodeExit) => void): () => void {
    this.#engine.exits.on('exit', onExit)
    const unwatch = () => {
      this.#engine.exits.off('exit', onExit)
      this.#unwatch.delete(unwatch)
    }
    this.#unwatch.add(unwatch)
    return unwatch
  }

  async usage(_handle: Handle): Promise<Usage> {
    await this.#reach()
    return { privateBytes: null, pssBytes: null, cpuSeconds: null }
  }

  async close(): Promise<void> {
    for (const unwatch of this.#unwatch) unwatch()
  }

  async #reach(): Promise<void> {
    if (this.engineState === 'hangs') await new Promise(() => undefined)
    if (this.engineState === 'refuses')
      throw new RuntimeError('engine_unavailable', 'the fake engine refuses')
  }

  #find(handle: Handle): FakeNode | undefined {
    const node = this.#engine.nodes.get(String(handle.name))
    return node?.handle.id === handle.id ? node : undefined
  }
}
