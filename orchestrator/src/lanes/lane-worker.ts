import type { Pool } from 'pg'
import type { Queryable } from '../db/database.ts'
import { backoffMs } from './backoff.ts'
import { type Claim, createClaims, dueInMs, type LookUp, type Want } from './claims.ts'
import { type LaneJob, LeaseLostError } from './lane-job.ts'
import { runLane } from './lane-run.ts'
import type { LaneHandler, TryOptions } from './lane-try.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { WakeUps } from './wake-ups.ts'

export interface LaneWorkerOptions {
  pool: Pool
  /** serves the lanes whose key begins with this and a colon */
  queue: string
  handler: LaneHandler
  /** called in the transaction that ends a job as dead: for the caller's own bookkeeping */
  onDead?: (tx: Queryable, job: LaneJob, error: string) => Promise<void>
  /** told of every failure: what a handler threw (`job` given), a lease lost, Postgres out of reach */
  onError: (error: unknown, job?: LaneJob) => void
  /** lanes that run at a time; default 16. Keep the pool larger than what the handlers and this need */
  concurrency?: number
  /** how long a lost worker's lanes stay closed; default 30 s. Renewed while a job runs */
  leaseMs?: number
  /** how often it looks by itself; default 1 s. Wake-ups are quicker */
  pollMs?: number
  /**
   * do a job while the end of the one before is being written; default false. The handler must say when a job is
   * done, and await `mayDo` and `mayEnd`
   */
  ahead?: boolean
  /** what is found out about each job in the statement that hands it out: the handler's `job.found` */
  lookUp?: LookUp
  /** how long a failed job waits; default 1 s, doubling, at most 5 min, less a random part */
  backoffMs?: (attempt: number) => number
}

interface RunningLane {
  key: string
  /** somebody enqueued for it meanwhile */
  again: boolean
  ended: Promise<void>
}

/** After so many jobs a lane lets others go first, if others wait for a slot. */
const FAIR_RUN = 32

/** The least pause before it looks again by itself. */
const BUSY_MS = 5

/** Runs the jobs of a queue's lanes. Any number of workers may serve one queue, in any number of processes. */
export class LaneWorker {
  private readonly options: TryOptions & {
    queue: string
    concurrency: number
    pollMs: number
    ahead: boolean
  }
  private readonly keeper: LeaseKeeper
  private readonly wakeUps: WakeUps
  private readonly running = new Set<RunningLane>()
  private readonly aborted = new AbortController()
  private state: 'new' | 'started' | 'stopping' = 'new'
  private pump: Promise<void> | undefined
  private again = false
  /** somebody should ask when the next lane is due */
  private ask = false
  /** every slot is taken, and there may be more to do */
  private full = false
  private ticking: Promise<void> | undefined
  private poll: NodeJS.Timeout | undefined
  private early: { at: number; timer: NodeJS.Timeout } | undefined

  constructor(options: LaneWorkerOptions) {
    const { pool, lookUp, onError, leaseMs = 30_000 } = options
    this.options = {
      onDead: undefined,
      concurrency: 16,
      pollMs: 1000,
      ahead: false,
      backoffMs,
      claims: createClaims(lookUp),
      ...options,
      leaseMs,
    }
    this.keeper = new LeaseKeeper(pool, leaseMs, onError)
    this.wakeUps = new WakeUps(pool, (queue) => {
      if (queue === options.queue) this.wake()
    })
  }

  start(): void {
    if (this.state !== 'new') throw new Error('A lane worker starts once.')
    this.state = 'started'
    this.ticking = this.tick()
  }

  /**
   * Looks for work now: call it right after a commit that enqueued, redrove or resumed. Cheap, and never too often.
   * @param keys the lanes that have more to do, where that is known: those at work here will come to it by themselves
   */
  wake(keys?: readonly string[]): void {
    if (this.state !== 'started' || (keys && this.leaveToRunning(keys))) return
    this.again = true
    this.pump ??= this.claimAll(this.options.pool)
  }

  /**
   * The same on a connection that was just sent such a commit, so that both share a round trip. Resolves, and never
   * rejects, when the connection is free again; undefined when somebody must `wake` after the commit instead.
   */
  claimBehind(connection: Queryable, keys: readonly string[]): Promise<unknown> | undefined {
    if (this.state !== 'started' || this.pump || this.running.size >= this.options.concurrency)
      return undefined
    if (keys.every((key) => this.runsOf(key).length > 0)) return undefined
    this.again = true
    return new Promise((resolve) => {
      this.pump = this.claimAll({
        query: (config) => connection.query<never>(config).finally(() => resolve(undefined)),
      })
    })
  }

  /** A lane may have been given up already when it looked last, so its run ends with a look. */
  private leaveToRunning(keys: readonly string[]): boolean {
    const runs = keys.map((key) => this.runsOf(key))
    if (runs.some((of) => of.length === 0)) return false
    for (const run of runs.flat()) run.again = true
    return true
  }

  private runsOf(key: string): RunningLane[] {
    return [...this.running].filter((run) => run.key === key)
  }

  /**
   * Begins nothing more and waits for what runs; after `graceMs` it aborts the tries' signals and waits no longer.
   * True when all has ended; otherwise leases run out by themselves, and others go on.
   */
  async stop(graceMs: number): Promise<boolean> {
    this.state = 'stopping'
    clearTimeout(this.poll)
    clearTimeout(this.early?.timer)
    await this.ticking
    this.wakeUps.stop()
    await this.pump
    const ended = Promise.all([...this.running].map((run) => run.ended)).then(() => true)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), graceMs)
    })
    const inTime = await Promise.race([ended, late])
    clearTimeout(timer)
    this.keeper.stop()
    if (!inTime) this.aborted.abort(new Error('The worker stops.'))
    return inTime
  }

  /** The safety net: finds what no wake-up told of. */
  private async tick(): Promise<void> {
    const { pollMs, onError } = this.options
    await this.wakeUps.listen().catch(onError)
    this.wakeAndAsk()
    if (this.state !== 'started') return
    this.poll = setTimeout(() => {
      this.ticking = this.tick()
    }, pollMs)
  }

  /** Takes what is due, and asks Postgres when more will be: timers may fire early, and others change lanes too. */
  private wakeAndAsk(): void {
    this.ask = true
    this.wake()
  }

  /** Looks when a lane is due, if that is before the next poll. One that is due and not ours to take is busy. */
  private wakeIn(ms: number | null): void {
    if (ms === null || ms > this.options.pollMs || this.state !== 'started') return
    const wait = Math.max(Math.ceil(ms), BUSY_MS)
    const at = Date.now() + wait
    if (this.early && this.early.at <= at) return
    clearTimeout(this.early?.timer)
    const timer = setTimeout(() => {
      this.early = undefined
      this.wakeAndAsk()
    }, wait)
    this.early = { at, timer }
  }

  /** @param first where the first claim is made */
  private async claimAll(first: Queryable): Promise<void> {
    const { pool, queue, onError } = this.options
    let connection = first
    try {
      while (this.again && this.state === 'started') {
        this.again = false
        await this.claimOnce(connection)
        connection = pool
        // With every slot taken the answer would be "now"; a lane that ends brings us here again.
        if (!this.ask || this.full || this.again) continue
        this.ask = false
        this.wakeIn(await dueInMs(pool, queue))
      }
    } catch (error) {
      onError(error)
    } finally {
      this.pump = undefined
      if (this.again) this.wake() // somebody called while it was already ending
    }
  }

  private async claimOnce(connection: Queryable): Promise<void> {
    const { claims, queue, concurrency, leaseMs } = this.options
    const free = concurrency - this.running.size
    const claimedAt = Date.now()
    const claimed = free ? await claims.claim(connection, queue, free, leaseMs, this.want) : []
    this.full = claimed.length === free
    for (const claim of claimed) {
      const run: RunningLane = { key: claim.job.key, again: false, ended: this.runLane(claim, claimedAt) }
      this.running.add(run)
      void run.ended.finally(() => {
        this.running.delete(run)
        if (this.full || run.again) this.wake()
      })
    }
  }

  /** Holds a lane while it runs, until it is empty, must wait, or others should go. */
  private async runLane(first: Claim, claimedAt: number): Promise<void> {
    const { onError } = this.options
    const held = this.keeper.hold(first.job.key, first.lease, claimedAt)
    const mayBegin = () => this.state === 'started'
    const fair = (begun: number) => begun < FAIR_RUN || this.running.size < this.options.concurrency
    try {
      await runLane(
        {
          options: this.options,
          held,
          signal: AbortSignal.any([held.signal, this.aborted.signal]),
          want: (begun) => (mayBegin() && fair(begun) ? this.want : 0),
          mayBegin,
          onFreed: (dueInMs) => this.wakeIn(dueInMs),
        },
        first,
      )
    } catch (error) {
      if (error instanceof LeaseLostError) onError(error, first.job)
      else onError(error)
    } finally {
      held.letGo()
    }
  }

  private get want(): Want {
    return this.options.ahead ? 2 : 1
  }
}
