import { MAX_COMMIT_BYTES } from '../../contract/index.ts'
import { backoff } from '../backoff.ts'
import { exitCodes, FatalError } from '../errors.ts'
import { describeError, type Logger } from '../logger.ts'
import { type BatchLimits, type Entry, measure, mergeBatch, type QueuedEntry, takeBatch } from './batch.ts'

export interface CommitLogOptions {
  generation: number
  /** resolves when the commit is applied; throws a FatalError when it never will be, anything else to try again */
  post: (body: string) => Promise<void>
  maxPendingBytes: number
  onFatal: (error: FatalError) => void
  logger: Logger
  limits?: BatchLimits
}

export interface AppendOptions {
  /** how long it may wait for company; what waits goes with the next commit in any case. 0: not at all */
  withinMs?: number
  /** whether what happens next, a frame above all, has to wait until it is durable */
  holds?: boolean
  /** nothing after it may share its commit */
  seals?: boolean
}

/** a message's first receipts come with its ack, or right behind */
const HURRY_MS = 3

/**
 * The one way to the orchestrator's database: an ordered log, written in groups. One commit is in flight; what is
 * appended meanwhile gathers into the next, so that a burst costs few transactions. A commit is sent again, byte by
 * byte the same, until it is answered.
 */
export class CommitLog {
  readonly #options: CommitLogOptions
  readonly #limits: BatchLimits
  readonly #queue: QueuedEntry[] = []
  readonly #waiters: { position: number; resolve: () => void }[] = []
  #position = 0
  #barrier = 0
  #durable = 0
  #seq = 0
  #durableSeq = 0
  #pendingBytes = 0
  #overloaded = false
  #flushing = false
  /** when the next commit has to be made, by the monotonic clock: 0 at once, infinity never */
  #due = Number.POSITIVE_INFINITY
  #dueTimer: NodeJS.Timeout | undefined
  #scheduled: NodeJS.Immediate | undefined
  #dead = false
  #wake: (() => void) | undefined
  /** told when pending commits pass the bound, and when they are down again */
  onPressure: (overloaded: boolean) => void = () => undefined

  constructor(options: CommitLogOptions) {
    this.#options = options
    // half of what a body may be: the measure is an estimate, and smaller commits are answered sooner
    this.#limits = options.limits ?? { bytes: MAX_COMMIT_BYTES / 2, items: 5_000 }
  }

  /**
   * Queues a write and returns its position. All writes of one turn of the event loop become one commit, and so does
   * what may wait (`withinMs`) with whatever is the first that may not.
   */
  append(entry: Entry, { withinMs = 0, holds = true, seals = false }: AppendOptions = {}): number {
    const bytes = measure(entry)
    this.#position += 1
    this.#queue.push({ ...entry, position: this.#position, bytes, seals })
    this.#pendingBytes += bytes
    if (holds) this.#barrier = this.#position
    this.#flushWithin(withinMs)
    if (!this.#overloaded && this.#pendingBytes > this.#options.maxPendingBytes) this.#setPressure(true)
    return this.#position
  }

  /** the last entry that what happens next has to wait for */
  get barrier(): number {
    return this.#barrier
  }

  get durablePosition(): number {
    return this.#durable
  }

  get overloaded(): boolean {
    return this.#overloaded
  }

  /** resolves when everything up to the position is in the database; never rejects, since a failed log ends the node */
  durable(position: number): Promise<void> {
    if (position <= this.#durable) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push({ position, resolve }))
  }

  /** writes all there is, what may wait too */
  drain(): Promise<void> {
    if (this.#queue.length > 0) this.#flushWithin(0)
    this.#wake?.()
    return this.durable(this.#position)
  }

  /** no company is to be expected for a while: what may wait goes soon, and so does what comes in the meantime */
  hurry(): void {
    if (this.#queue.length > 0) this.#flushWithin(HURRY_MS)
  }

  stats() {
    return {
      pending: this.#position - this.#durable,
      pending_bytes: this.#pendingBytes,
      durable_seq: this.#durableSeq,
    }
  }

  #flushWithin(ms: number): void {
    const due = ms === 0 ? 0 : performance.now() + ms
    if (due >= this.#due) return
    this.#due = due
    clearTimeout(this.#dueTimer)
    if (ms === 0) this.#schedule()
    else this.#dueTimer = setTimeout(() => this.#flushWithin(0), ms)
  }

  #schedule(): void {
    if (this.#flushing || this.#scheduled || this.#dead) return
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    this.#flushing = true
    try {
      while (this.#due === 0) {
        const batch = takeBatch(this.#queue, this.#limits)
        if (this.#queue.length === 0) this.#due = Number.POSITIVE_INFINITY
        await this.#send(batch)
        const last = batch.at(-1)
        if (last) this.#settle(last.position, batch)
      }
    } catch (error) {
      this.#dead = true
      this.#options.onFatal(
        error instanceof FatalError
          ? error
          : new FatalError(exitCodes.crashed, 'The commit log failed', { cause: error }),
      )
    } finally {
      this.#flushing = false
    }
  }

  async #send(batch: QueuedEntry[]): Promise<void> {
    this.#seq += 1
    const body = JSON.stringify(mergeBatch(batch, this.#options.generation, this.#seq))
    if (Buffer.byteLength(body) > MAX_COMMIT_BYTES) {
      throw new FatalError(exitCodes.refused, `A commit of ${Buffer.byteLength(body)} bytes cannot be split`)
    }
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#options.post(body)
        this.#durableSeq = this.#seq
        return
      } catch (error) {
        if (error instanceof FatalError) throw error
        const delay = backoff(attempt, 100, 5_000)
        const fields = { seq: this.#seq, attempt, delay_ms: delay, error: describeError(error) }
        if (attempt === 0) this.#options.logger.warn('commit not answered, will be sent again', fields)
        else this.#options.logger.debug('commit not answered', fields)
        await this.#pause(delay)
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #settle(position: number, batch: QueuedEntry[]): void {
    this.#durable = position
    for (const entry of batch) this.#pendingBytes -= entry.bytes
    // positions are handed out in order, so waiters mostly are too; a frame and a reader may differ
    for (let index = 0; index < this.#waiters.length; ) {
      const waiter = this.#waiters[index]
      if (waiter && waiter.position <= position) {
        this.#waiters.splice(index, 1)
        waiter.resolve()
      } else index += 1
    }
    if (this.#overloaded && this.#queue.length === 0) this.#setPressure(false)
  }

  #setPressure(overloaded: boolean): void {
    this.#overloaded = overloaded
    const fields = { pending_bytes: this.#pendingBytes }
    if (overloaded) this.#options.logger.warn('too much waits to be committed', fields)
    else this.#options.logger.info('commits are drained', fields)
    this.onPressure(overloaded)
  }
}
