/**
 * The states of a session, as one table. Nothing else decides which state follows which.
 *
 *   created → starting → waiting_qr → connecting → active ⇄ reconnecting
 *
 * `closed`: stopped by request, or the node has given up until a person asks (its QR codes ran out).
 * `logged_out`: WhatsApp ended the credentials; only a new request to start leads out of it.
 * `error`: it cannot go on by itself, or only slowly: a crash loop, a ban, an outdated client.
 *
 * Inputs are what the orchestrator knows or is asked for, and `report:*`, what the node says of its connection. An
 * input without an entry is refused: it makes no sense in that state and changes nothing.
 */
import type { ConnectionState } from '@palomar/session-node/contract'

export const sessionStates = [
  'created',
  'starting',
  'waiting_qr',
  'connecting',
  'active',
  'reconnecting',
  'closed',
  'logged_out',
  'error',
] as const
export type SessionState = (typeof sessionStates)[number]

export const sessionFacts = [
  /** a person wants it to run, or wants a QR */
  'start_requested',
  /** a person wants another node */
  'restart_requested',
  'stop_requested',
  /** logged out by request, its credentials archived */
  'logout_requested',
  'node_starting',
  /** its node ended, or could not be started, unasked */
  'node_exited',
  /** nodes keep ending before the session was active */
  'crash_loop',
] as const
export type SessionInput = (typeof sessionFacts)[number] | `report:${ConnectionState}`

type Row = Partial<Record<SessionInput, SessionState>>

const asked: Row = {
  start_requested: 'starting',
  restart_requested: 'starting',
  stop_requested: 'closed',
  logout_requested: 'logged_out',
}

const reported: Row = {
  'report:waiting_qr': 'waiting_qr',
  'report:connecting': 'connecting',
  'report:active': 'active',
  'report:reconnecting': 'reconnecting',
  'report:closed': 'closed',
  'report:logged_out': 'logged_out',
  'report:error': 'error',
}

/** No connection yet: a node that ends is followed by one that starts from the beginning. */
const beforeActive: Row = {
  ...asked,
  ...reported,
  node_starting: 'starting',
  node_exited: 'starting',
  crash_loop: 'error',
}

const table: Record<SessionState, Row> = {
  created: { ...asked, start_requested: 'created', node_starting: 'starting' },
  starting: beforeActive,
  waiting_qr: { ...beforeActive, start_requested: 'waiting_qr' },
  connecting: { ...beforeActive, start_requested: 'connecting' },
  active: {
    ...asked,
    ...reported,
    start_requested: 'active',
    // A connection does not become a QR: its credentials would have to end first.
    'report:waiting_qr': undefined,
    node_starting: 'reconnecting',
    node_exited: 'reconnecting',
  },
  reconnecting: {
    ...asked,
    ...reported,
    start_requested: 'reconnecting',
    node_starting: 'reconnecting',
    node_exited: 'reconnecting',
    crash_loop: 'error',
  },
  closed: { ...asked, ...reported, node_starting: 'starting', node_exited: 'closed' },
  logged_out: {
    start_requested: 'starting',
    restart_requested: 'starting',
    stop_requested: 'logged_out',
    logout_requested: 'logged_out',
    'report:logged_out': 'logged_out',
    node_exited: 'logged_out',
  },
  // Slow retries do not hide why it is in error; only the node's success or a person does.
  error: { ...asked, ...reported, node_starting: 'error', node_exited: 'error', crash_loop: 'error' },
}

/** The state that follows, or undefined when the input is refused. */
export function nextState(state: SessionState, input: SessionInput): SessionState | undefined {
  return table[state][input]
}
