/** Counts why sessions lose their connection, under labels that a node cannot multiply. */
import type { FanOut } from '../events/fan-out.ts'
import type { Metrics } from '../metrics.ts'

/** as session nodes name them (session-node/src/whatsapp/closing.ts, connection.ts) */
const reasons = new Set([
  'account_locked',
  'banned',
  'client_outdated',
  'commits_pending',
  'connection_closed',
  'connection_failed',
  'connection_lost',
  'deaf',
  'logged_out',
  'login_timed_out',
  'multidevice_mismatch',
  'qr_expired',
  'rate_limited',
  'replaced',
  'requested',
  'restart_required',
  'service_unavailable',
  'stream_error',
  'temporarily_banned',
  'timed_out',
])

/** Returns what ends the counting. */
export function countDisconnects(fanOut: FanOut, metrics: Metrics): () => void {
  return fanOut.subscribe((events) => {
    for (const { type, data } of events) {
      if (type !== 'session.status.disconnected') continue
      const reason = String(data.reason)
      metrics.disconnects.inc({ reason: reasons.has(reason) ? reason : 'other' })
    }
  })
}
