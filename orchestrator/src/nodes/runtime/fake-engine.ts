/**
 * An engine in memory, for tests of what uses a runtime: its nodes are HTTP servers of this process. It is scripted to
 * be slow, to fail, to say nothing, and to lose nodes. It outlives its drivers, as engines do.
 */
import { EventEmitter } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Handle, LogLine, NodeExit, NodeSpec, NodeStatus } from './runtime.ts'

const maxLines = 1_000

export class FakeNode {
  readonly spec: NodeSpec
  readonly handle: Handle
  readonly startedAt = new Date()
  readonly lines: LogLine[] = []
  /** 'change' after each line and at the exit */
  readonly events = new EventEmitter().setMaxListeners(0)
  status: NodeStatus = { status: 'unknown', reason: 'starting' }
  ignoresSigterm = false
  server: Server | undefined

  constructor(spec: NodeSpec, id: number) {
    this.spec = spec
    this.handle = { name: spec.name, id }
  }

  print(text: string, stream: LogLine['stream'] = 'stdout'): void {
    this.lines.push({ at: new Date(), stream, text })
    if (this.lines.length > maxLines) this.lines.shift()
    this.events.emit('change')
  }
}

export class FakeEngine {
  /** awaited before each start and stop: a slow one delays, a bad one throws, a dead one never resolves */
  beforeStart: (spec: NodeSpec) => Promise<void> = async () => undefined
  beforeStop: (handle: Handle) => Promise<void> = async () => undefined
  /** what a node answers at its address */
  serve: (node: FakeNode) => RequestListener = () => (_request, response) =>
    void response.setHeader('connection', 'close').end('{"ok":true}')
  readonly nodes = new Map<string, FakeNode>()
  /** every start that was asked for, also of a node that was there */
  readonly starts: NodeSpec[] = []
  readonly exits = new EventEmitter<{ exit: [NodeExit] }>()
  #ids = 0

  async launch(spec: NodeSpec): Promise<FakeNode> {
    const node = new FakeNode(spec, ++this.#ids)
    const server = createServer(this.serve(node))
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(0, '127.0.0.1', () => resolve()),
    )
    node.server = server
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    node.status = { status: 'running', address, startedAt: node.startedAt }
    this.nodes.set(spec.name, node)
    return node
  }

  /** The node ends by itself; `silent`: nobody is told, as when an event is lost. */
  exit(name: string, exitCode: number | null, { oomKilled = false, silent = false } = {}): void {
    const node = this.#get(name)
    if (node.status.status !== 'running') return
    const reason = oomKilled ? 'ran out of memory' : `failed with exit code ${exitCode}`
    node.status = { status: 'exited', exitCode, oomKilled, reason }
    closeNow(node.server)
    node.events.emit('change')
    const { handle, spec } = node
    if (!silent) this.exits.emit('exit', { handle, name, labels: spec.labels, exitCode, oomKilled })
  }

  /** The node vanishes without a word: its host died, or a person removed it. */
  lose(name: string): void {
    this.exit(name, null, { silent: true })
    this.nodes.delete(name)
  }

  /** Ends every node. */
  dispose(): void {
    for (const name of [...this.nodes.keys()]) this.lose(name)
  }

  #get(name: string): FakeNode {
    const node = this.nodes.get(name)
    if (!node) throw new Error(`the fake engine has no node ${name}`)
    return node
  }
}

function closeNow(server: Server | undefined): void {
  server?.close()
  server?.closeAllConnections()
}
