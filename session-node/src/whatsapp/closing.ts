import { backoff } from '../backoff.ts'

/** Why a connection ended, as Baileys tells it. */
export interface Ending {
  code: number | undefined
  message: string
  /** attributes of the server's `failure` stanza */
  data?: Record<string, unknown> | undefined
}

/** What to do about it. `forget` wipes the credentials: the phone has unlinked us. */
export type Reaction =
  | { do: 'retry'; delayMs: number; reason: string }
  | { do: 'stop'; state: 'closed' | 'logged_out' | 'error'; forget: boolean; reason: string }

export interface History {
  /** endings in a row without a connection that lasted */
  attempt: number
  /** times of the last endings by 440 */
  replacedAt: readonly number[]
  now: number
  random?: () => number
}

const SECOND = 1_000
const MINUTE = 60 * SECOND

type Rule = (ending: Ending, history: History) => Reaction

const stop = (state: 'closed' | 'logged_out' | 'error', reason: string, forget = false): Rule => {
  return () => ({ do: 'stop', state, forget, reason })
}
const again =
  (reason: string, baseMs: number, capMs: number): Rule =>
  (_ending, { attempt, random }) => ({
    do: 'retry',
    delayMs: backoff(attempt, baseMs, capMs, random),
    reason,
  })

const lost = (reason: string) => again(reason, SECOND / 2, MINUTE)

/** One row a disconnect code. Credentials are wiped where WhatsApp has ended them, and nowhere else. */
const rules: Record<number, Rule> = {
  401: stop('logged_out', 'logged_out', true),
  402: ({ data }, history) => {
    const seconds = Number(data?.expire)
    const delayMs =
      Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 7 * 24 * 3600) * SECOND : 60 * MINUTE
    return {
      do: 'retry',
      delayMs: delayMs + backoff(0, 10 * SECOND, 10 * SECOND, history.random),
      reason: 'temporarily_banned',
    }
  },
  403: stop('error', 'account_locked'),
  405: again('client_outdated', 10 * MINUTE, 6 * 60 * MINUTE),
  406: stop('logged_out', 'banned', true),
  408: (ending, history) =>
    ending.message.includes('QR refs attempts ended')
      ? { do: 'stop', state: 'closed', forget: false, reason: 'qr_expired' }
      : lost(ending.message.includes('was lost') ? 'connection_lost' : 'timed_out')(ending, history),
  411: stop('error', 'multidevice_mismatch'),
  428: lost('connection_closed'),
  429: again('rate_limited', 5 * MINUTE, 60 * MINUTE),
  // whoever took the connection may be the node that replaces this one: never fight for it
  440: (_ending, { replacedAt, now, random }) => {
    const recent = replacedAt.filter((time) => now - time < 30 * SECOND).length
    const delayMs = recent >= 5 ? 30 * SECOND : backoff(0, 4 * SECOND, 4 * SECOND, random)
    return { do: 'retry', delayMs, reason: 'replaced' }
  },
  500: lost('stream_error'),
  503: lost('service_unavailable'),
  515: () => ({ do: 'retry', delayMs: 0, reason: 'restart_required' }),
}

/** The reaction to an ending; what nobody has described yet is tried again and never wipes anything. */
export const reactTo = (ending: Ending, history: History): Reaction =>
  (rules[ending.code ?? 0] ?? lost('connection_failed'))(ending, history)
