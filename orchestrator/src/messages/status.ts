/**
 * How a message of ours moves: pending → sent → delivered → read → played, forward only.
 *
 * Every fact may come late, twice or out of order, so `advance` gives the same end whatever the order: the status is
 * the highest that was proven, and each time is the earliest that any proof of it, or of more, carries.
 */

const ladder = ['pending', 'sent', 'delivered', 'read', 'played'] as const
export type Rung = (typeof ladder)[number]
export type MessageStatus = Rung | 'received' | 'failed' | 'cancelled'

/** Why a message failed. */
export interface MessageError {
  /** of the table in `send-errors.ts` */
  code: string
  title: string
  /** WhatsApp's own code, where it gave one */
  wa_code?: number
  /** false: the same message may get through later */
  permanent: boolean
  /**
   * The end of a try was never told: WhatsApp may have the message all the same, and proof of that outweighs the
   * failure. A message that is still pending carries it (unseen) from its next try on.
   */
  outcome_unknown?: boolean
}

export interface Progress {
  status: MessageStatus
  error: MessageError | null
  sentAt: Date | null
  deliveredAt: Date | null
  readAt: Date | null
  playedAt: Date | null
  failedAt: Date | null
}

export type StatusChange =
  | { to: Exclude<Rung, 'pending'>; at: Date }
  | { to: 'failed'; at: Date; error: MessageError }

const timeOf = { sent: 'sentAt', delivered: 'deliveredAt', read: 'readAt', played: 'playedAt' } as const

/** The progress after one more fact; the very same object when the fact adds nothing. */
export function advance(progress: Progress, change: StatusChange): Progress {
  if (change.to === 'failed') {
    if (progress.status !== 'pending') return progress
    const doubt = progress.error?.outcome_unknown && { outcome_unknown: true }
    return { ...progress, status: 'failed', error: { ...change.error, ...doubt }, failedAt: change.at }
  }
  if (!provable(progress)) return progress
  const known = rank(progress.status)
  const proven = rank(change.to)
  const next: Progress = { ...progress, error: null, failedAt: null }
  if (proven > known) next.status = change.to
  for (const rung of ['sent', 'delivered', 'read', 'played'] as const) {
    if (rank(rung) <= proven) next[timeOf[rung]] = earlier(progress[timeOf[rung]], change.at)
  }
  return same(progress, next) ? progress : next
}

/** The rungs that a message reached on its way: pending → read passes sent, delivered and read. */
export function reached(before: MessageStatus, after: MessageStatus): Exclude<Rung, 'pending'>[] {
  const from = Math.max(rank(before), 0)
  return ladder.slice(from + 1, rank(after) + 1) as Exclude<Rung, 'pending'>[]
}

/** Sent or more, failed, or cancelled: whoever waits for the end of the send need wait no longer. */
export function isEnded(status: MessageStatus): boolean {
  return status !== 'pending'
}

/** −1 for what is not on the ladder: any proof is more than that */
function rank(status: MessageStatus): number {
  return ladder.indexOf(status as Rung)
}

/**
 * A refusal is final, unless it is of a later try than one whose end is unknown; and so is what others sent. A guess at
 * failure and a cancellation give way to proof.
 */
function provable({ status, error }: Progress): boolean {
  if (status === 'failed') return error?.outcome_unknown === true
  return status !== 'received'
}

function earlier(known: Date | null, at: Date): Date {
  return known && known <= at ? known : at
}

function same(a: Progress, b: Progress): boolean {
  return (
    a.status === b.status &&
    a.error === b.error &&
    Object.values(timeOf).every((field) => a[field]?.getTime() === b[field]?.getTime())
  )
}
