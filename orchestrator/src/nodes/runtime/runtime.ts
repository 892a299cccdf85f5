/**
 * The runtime driver's contract: what starts, stops and watches the process or container of a session node.
 * No engine's types appear here. One contract suite (`runtime-contract.ts`) runs against every driver.
 *
 *   start ──▶ running ──▶ exited ──▶ (stop / removed) ──▶ gone
 *
 * `unknown` means that the engine did not answer; it is never `gone`.
 */

/** Opaque JSON that a driver needs to find its node again after a restart; stored in Postgres as it is. */
export type Handle = Record<string, string | number>

export interface NodeSpec {
  /** unique name, `palomar-<node id>`; starting the same name twice gives the same node */
  name: string
  /** labels that `list` gives back: at least `session_id`, `node_id` */
  labels: Record<string, string>
  env: Record<string, string>
  /** which of the two bundles; only `simulator` accepts a server URL */
  bundle: 'production' | 'simulator'
}

export interface StartedNode {
  handle: Handle
  /** base URL at which the orchestrator reaches the node, e.g. http://127.0.0.1:41233 */
  address: string
}

export type NodeStatus =
  | { status: 'running'; address: string; startedAt?: Date }
  | { status: 'exited'; exitCode: number | null; signal?: string; oomKilled: boolean; reason: string }
  | { status: 'gone' }
  | { status: 'unknown'; reason: string }

export interface ListedNode {
  handle: Handle
  name: string
  labels: Record<string, string>
  status: NodeStatus
}

export interface LogLine {
  /** as the engine stamped it; for the process driver, as the line itself says or when it was read */
  at: Date
  stream: 'stdout' | 'stderr'
  text: string
}

export interface LogOptions {
  /** only the last n lines */
  tail?: number
  since?: Date
  /** keep the iterable open and yield lines as they come, until the signal aborts or the node exits */
  follow?: boolean
  signal?: AbortSignal
}

export interface NodeExit {
  handle: Handle
  name: string
  labels: Record<string, string>
  exitCode: number | null
  oomKilled: boolean
}

export interface Usage {
  /** bytes not shared with other processes, and proportional set size; null where the platform does not say */
  privateBytes: number | null
  pssBytes: number | null
  cpuSeconds: number | null
}

/** Why a driver refused; `code` is stable and appears in logs and on the session. */
export class RuntimeError extends Error {
  readonly code:
    | 'engine_unavailable'
    | 'image_missing'
    | 'start_failed'
    | 'start_timeout'
    | 'stop_failed'
    | 'bundle_missing'
    | 'network_unsafe'
  constructor(code: RuntimeError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RuntimeError'
    this.code = code
  }
}

export interface Runtime {
  readonly kind: 'docker' | 'process' | 'fake'
  /**
   * Once at start: makes the network or folder, checks image or bundle, throws a RuntimeError that says what to do.
   * `listenHost`: where the orchestrator's internal API must listen so that nodes reach it;
   * `callbackHost`: the name or address by which nodes reach it.
   */
  prepare(): Promise<{ listenHost: string; callbackHost: string }>
  /** Idempotent by name. Resolves when the node's port is known, not when it is healthy. Throws RuntimeError. */
  start(spec: NodeSpec): Promise<StartedNode>
  /** SIGTERM, then SIGKILL after the grace; removes what is left of it. A missing node is success. */
  stop(handle: Handle, graceMs: number): Promise<void>
  inspect(handle: Handle): Promise<NodeStatus>
  /** every node of this installation, running or exited. Throws RuntimeError('engine_unavailable'), never answers [] instead. */
  list(): Promise<ListedNode[]>
  logs(handle: Handle, options: LogOptions): AsyncIterable<LogLine>
  /** exits and OOM kills as they happen; best effort: the reconciler also polls. Returns an unsubscribe. */
  watch(onExit: (exit: NodeExit) => void): () => void
  usage(handle: Handle): Promise<Usage>
  /** releases sockets and timers; leaves nodes running */
  close(): Promise<void>
}
