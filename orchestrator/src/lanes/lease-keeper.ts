import { prepared, type Queryable } from '../db/database.ts'
import { LeaseLostError } from './lane-job.ts'

// Lanes that somebody has locked are passed over: waiting for one would let all others run out, and two that wait for
// each other would dead-lock. Their turn comes again twice within a lease.
const renew = prepared<{ lease: string; lost: boolean }>(
  'lane-renew',
  `with held as (select * from unnest($1::text[], $2::uuid[]) as h(key, lease)),
     mine as (select l.key from lane l join held h on l.key = h.key and l.lease = h.lease for update of l skip locked),
     renewed as (
       update lane set next_at = clock_timestamp() + $3 * interval '1 ms' from mine where lane.key = mine.key
       returning lane.lease)
   select lease, false as lost from renewed
   union all
   select h.lease, true from held h join lane l on l.key = h.key where l.lease is distinct from h.lease`,
)

export interface HeldLane {
  /** aborted when the lane is, or must be taken to be, in other hands */
  signal: AbortSignal
  /** by the local clock: when the lease may run out */
  expiresAt(): number
  letGo(): void
}

/** Renews the leases of all lanes that a worker holds, and tells those who lost one. */
export class LeaseKeeper {
  private readonly queryable: Queryable
  private readonly leaseMs: number
  private readonly onError: (error: unknown) => void
  private readonly held = new Map<string, { key: string; expiresAt: number; controller: AbortController }>()
  private timer: NodeJS.Timeout | undefined
  private stopped = false

  constructor(queryable: Queryable, leaseMs: number, onError: (error: unknown) => void) {
    this.queryable = queryable
    this.leaseMs = leaseMs
    this.onError = onError
  }

  /** `claimedAt`: the local time before the claim was asked for, so that we never think a lease longer than it is. */
  hold(key: string, lease: string, claimedAt: number): HeldLane {
    const entry = { key, expiresAt: claimedAt + this.leaseMs, controller: new AbortController() }
    this.held.set(lease, entry)
    this.timer ??= this.tickLater()
    return {
      signal: entry.controller.signal,
      expiresAt: () => entry.expiresAt,
      letGo: () => {
        this.held.delete(lease)
      },
    }
  }

  /** Renews nothing more: what is still held runs out. */
  stop(): void {
    clearTimeout(this.timer)
    this.stopped = true
  }

  /** Keeps nobody alive: what needs the lease does. */
  private tickLater(): NodeJS.Timeout {
    return setTimeout(() => void this.tick(), this.leaseMs / 3).unref()
  }

  private async tick(): Promise<void> {
    if (this.held.size === 0) {
      this.timer = undefined
      return
    }
    const askedAt = Date.now()
    try {
      const keys = [...this.held.values()].map((entry) => entry.key)
      for (const { lease, lost } of await renew(this.queryable, [
        keys,
        [...this.held.keys()],
        this.leaseMs,
      ])) {
        const entry = this.held.get(lease)
        if (entry && lost) this.lose(lease, entry.key)
        else if (entry) entry.expiresAt = askedAt + this.leaseMs
      }
    } catch (error) {
      this.onError(error)
    }
    for (const [lease, entry] of this.held) if (entry.expiresAt < Date.now()) this.lose(lease, entry.key)
    this.timer = this.held.size && !this.stopped ? this.tickLater() : undefined
  }

  private lose(lease: string, key: string): void {
    this.held.get(lease)?.controller.abort(new LeaseLostError(`The lease of lane ${key} is lost.`))
    this.held.delete(lease)
  }
}
