/**
 * Makes the nodes that run be those that should run. It looks at every session again and again, and at one session
 * when something says so; what it knows is in Postgres and in the engine, so a restart just goes on looking.
 *
 * Sessions do not wait for each other: each is looked at by one task at a time, and every call of a driver is bounded.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { StoredEvent } from '../events/types.ts'
import { type NodeRow, readCurrentNode, saveProbe, saveWhereabouts } from '../nodes/node-rows.ts'
import { Limit } from '../nodes/runtime/limit.ts'
import type { NodeStatus } from '../nodes/runtime/runtime.ts'
import { createLeadership } from './leadership.ts'
import { createNodeActions, type NodeActionsOptions, type NodeTimeouts } from './node-actions.ts'
import { createNodeObserver, type Listing } from './node-observer.ts'
import { type Action, reconcileSession, wantsNode } from './reconcile-session.ts'
import { type SessionRow, sessionColumns } from './session-row.ts'
import { createStraySweep } from './stray-sweep.ts'

export interface ReconcilerOptions extends Omit<NodeActionsOptions, 'timeouts'> {
  /** how often every session is looked at */
  reconcileMs: number
  /** nodes that may be starting at once */
  startConcurrency: number
  timeouts?: Partial<NodeTimeouts>
}

export interface Reconciler {
  start(): void
  /** Look at this session now, or at all. Never throws, and works on every replica. */
  wake(sessionId?: string): void
  /** Ends the loop and waits for what is under way; nodes go on running. */
  stop(): Promise<void>
}

const defaultTimeouts: NodeTimeouts = { startMs: 30_000, graceMs: 10_000, callMs: 10_000 }
/** a pass that failed met a database that was away: the sessions should not wait a whole round for its return */
const afterFailureMs = 500
/** stop and start, bury and start again: more steps at once would be a mistake */
const maxSteps = 4

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { database, runtime, fanOut, logger, metrics, reconcileMs } = options
  const timeouts = { ...defaultTimeouts, ...options.timeouts }
  const { pool } = database
  const actions = createNodeActions({ ...options, timeouts })
  const observer = createNodeObserver({ ...options, callMs: timeouts.callMs })
  const starts = new Limit(options.startConcurrency)
  const sweep = createStraySweep({ pool, runtime, logger, timeouts })
  const leadership = createLeadership(pool, logger, wakeHere)
  const stopping = new AbortController()
  /** tasks under way, by session; `again`: something happened since it last looked */
  const tasks = new Map<string, { done: Promise<void>; again: boolean }>()
  const timers = new Set<NodeJS.Timeout>()
  let wakeLoop: () => void = () => undefined
  let loop: Promise<void> = Promise.resolve()
  let leading = false

  function wakeHere(sessionId: string): void {
    if (sessionId) look(sessionId, true)
    else wakeLoop()
  }

  function wake(sessionId = ''): void {
    if (stopping.signal.aborted) return
    if (leading) wakeHere(sessionId)
    else
      leadership.tell(sessionId).catch((error: unknown) => {
        logger.warn('the reconciler could not be told', { error })
      })
  }

  function look(sessionId: string, urgent: boolean, listed?: Listing): void {
    if (stopping.signal.aborted) return
    const running = tasks.get(sessionId)
    if (running) {
      running.again ||= urgent
      return
    }
    const task = { again: false, done: Promise.resolve() }
    tasks.set(sessionId, task)
    task.done = settle(sessionId, listed)
      .catch((error: unknown) => {
        logger.warn('a session could not be reconciled', { session_id: sessionId, error })
      })
      .finally(() => {
        tasks.delete(sessionId)
        if (task.again) look(sessionId, true)
      })
  }

  /** Looks and acts until there is nothing more to do now. */
  async function settle(sessionId: string, listed?: Listing): Promise<void> {
    for (let step = 0; step < maxSteps && !stopping.signal.aborted; step++) {
      const { rows } = await pool.query<SessionRow>({
        name: 'session_read',
        text: `select ${sessionColumns} from session s where s.id = $1`,
        values: [sessionId],
      })
      const [session] = rows
      if (!session) return
      const node = await readCurrentNode(pool, sessionId)
      // What the whole list said is older than what was done since.
      const status = node ? await observer.observe(node, step === 0 ? listed : undefined) : nothingThere
      const asked = node && status.status === 'running' && wantsNode(session) && node.status !== 'stopping'
      const healthy = asked ? await observer.isHealthy(node, status.address) : undefined
      const current = node && { ...node, started: node.handle !== null }
      const action = reconcileSession(session, current, { status, healthy }, new Date())
      if (!(await act(session, node, action))) return
    }
  }

  /** True when it is worth looking again at once. */
  async function act(session: SessionRow, node: NodeRow | undefined, action: Action): Promise<boolean> {
    if (action.do === 'nothing') return false
    if (action.do === 'start' && action.at) {
      lookAt(session.id, action.at)
      return false
    }
    if (action.do === 'start') {
      return !(await starts.run(() => actions.start(session.id)))
    }
    if (!node) throw new Error(`${action.do} needs a node`)
    switch (action.do) {
      case 'start_again':
        return !(await starts.run(() => actions.launch(node)))
      case 'keep':
        await keep(node, action.address, action.healthy)
        return false
      case 'stop':
        await actions.stop(node)
        return true
      case 'bury':
        await actions.bury(node, action.ending)
        return true
      case 'replace':
        await actions.replace(node, action.reason)
        return true
    }
  }

  async function keep(node: NodeRow, address: string, healthy: boolean): Promise<void> {
    if (node.handle && node.address !== address) await saveWhereabouts(pool, node.id, node.handle, address)
    const recently = node.lastSeenAt && Date.now() - node.lastSeenAt.getTime() < 2 * reconcileMs
    if (healthy && node.health === 'healthy' && recently) return
    await saveProbe(pool, node.id, healthy)
  }

  function lookAt(sessionId: string, at: Date): void {
    const ms = at.getTime() - Date.now()
    // The next pass will see to what is later.
    if (ms > reconcileMs) return
    const timer = setTimeout(() => {
      timers.delete(timer)
      look(sessionId, true)
    }, ms + 1)
    timers.add(timer)
  }

  async function pass(): Promise<void> {
    leading = await leadership.lead()
    if (!leading) return
    const listed = await observer.list().catch((error: unknown) => {
      logger.warn('the driver does not list its nodes', { error })
      return undefined
    })
    const { rows } = await pool.query<{ id: string }>(
      `select s.id from session s
       where (s.desired = 'running' and s.state <> 'logged_out') or exists (
         select from node n where n.session_id = s.id and n.status in ('starting', 'running', 'stopping'))`,
    )
    for (const { id } of rows) look(id, false, listed)
    if (listed) await sweep.sweep([...listed.values()])
    await countStates()
  }

  async function countStates(): Promise<void> {
    const { rows } = await pool.query<{ state: string; n: number }>(
      'select state, count(*)::int as n from session group by state',
    )
    metrics.sessions.reset()
    for (const { state, n } of rows) metrics.sessions.set({ state }, n)
  }

  async function run(): Promise<void> {
    const { signal } = stopping
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wakeLoop = resolve
      })
      let restMs = reconcileMs
      await pass().catch((error) => {
        logger.error('a pass of the reconciler failed', { error })
        restMs = Math.min(reconcileMs, afterFailureMs)
      })
      const rest = new AbortController()
      const over = AbortSignal.any([signal, rest.signal])
      await Promise.race([woken, delay(restMs, undefined, { signal: over }).catch(() => undefined)])
      rest.abort()
    }
  }

  /** A session that has been logged out, or that has just been made, changes what should run. */
  function onEvents(events: StoredEvent[]): void {
    for (const { type, data } of events)
      if (
        typeof data.session_id === 'string' &&
        (type === 'session.created' ||
          (type === 'session.status.disconnected' && data.state === 'logged_out'))
      )
        wake(data.session_id)
  }

  let unsubscribe: (() => void)[] = []

  return {
    start() {
      const unwatch = runtime.watch(({ labels }) => wake(labels.session_id))
      unsubscribe = [unwatch, fanOut.subscribe(onEvents)]
      loop = run()
    },
    wake,
    async stop() {
      for (const end of unsubscribe) end()
      for (const timer of timers) clearTimeout(timer)
      stopping.abort()
      await loop
      await Promise.all([...tasks.values()].map((task) => task.done))
      await sweep.drain()
      leading = false
      await leadership.resign()
    },
  }
}

const nothingThere: NodeStatus = { status: 'gone' }
