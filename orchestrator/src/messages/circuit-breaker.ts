/**
 * An account whose sends keep failing is left alone for a while, and longer each time, instead of running through all
 * that waits in its lane.
 *
 *   closed ──(failures in a row)──▶ open for a time ──▶ one try ──(it fails)──▶ open for twice the time
 *      ▲───────────────────────────(any success)──────────┘
 */
import type { SendErrorCode } from './send-errors.ts'

export interface CircuitBreaker {
  succeeded(accountId: string): void
  /** How long the account is to be left alone now, in milliseconds; undefined while it may go on. */
  failed(accountId: string, code: string): number | undefined
}

/** says something about one message, nothing about the account */
const ownFault: ReadonlySet<string> = new Set<SendErrorCode>([
  'recipient_not_found',
  'invalid_message',
  'not_allowed',
])

export function createCircuitBreaker({
  failures = 5,
  firstMs = 30_000,
  mostMs = 3_600_000,
} = {}): CircuitBreaker {
  const accounts = new Map<string, { inARow: number; opened: number }>()
  return {
    succeeded: (accountId) => void accounts.delete(accountId),
    failed(accountId, code) {
      if (ownFault.has(code)) return undefined
      const { inARow, opened } = accounts.get(accountId) ?? { inARow: 0, opened: 0 }
      const open = opened > 0 || inARow + 1 >= failures
      accounts.set(accountId, { inARow: inARow + 1, opened: opened + (open ? 1 : 0) })
      return open ? Math.min(firstMs * 2 ** opened, mostMs) : undefined
    },
  }
}
