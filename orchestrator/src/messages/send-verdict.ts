/** What a failed try of a send means for the message: one row for each way in which a node can fail. */
import type { NodeCallErrorCode, NodeError } from '../nodes/node-error.ts'
import { ofAckError, sendError } from './send-errors.ts'
import type { MessageError } from './status.ts'

export type Verdict =
  /** WhatsApp will never take it */
  | { is: 'failed'; error: MessageError }
  /** a try that failed, or whose end is unknown: again later, under the same id */
  | { is: 'again'; error: MessageError }
  /** it was not tried: nobody was there to send it */
  | { is: 'waiting' }

type Meaning = 'malformed' | 'unreachable' | 'refused' | 'no_recipient' | 'slow_down' | 'unknown' | 'broken'

const meanings: Record<NodeCallErrorCode, Meaning> = {
  invalid_request: 'malformed',
  too_large: 'malformed',
  recipient_not_found: 'no_recipient',
  rejected: 'refused',
  throttled: 'slow_down',
  ack_timeout: 'unknown',
  no_answer: 'unknown',
  bad_answer: 'broken',
  internal: 'broken',
  not_connected: 'unreachable',
  overloaded: 'unreachable',
  unreachable: 'unreachable',
  // of a node that is being replaced, or answers another's call
  fenced: 'unreachable',
  unauthorized: 'unreachable',
  not_found: 'unreachable',
  // never about a send
  already_paired: 'broken',
  sequence_gap: 'broken',
  pairing_unavailable: 'broken',
}

export function judge(failure: NodeError): Verdict {
  switch (meanings[failure.code]) {
    case 'malformed':
      return { is: 'failed', error: sendError('invalid_message', failure.waCode) }
    case 'no_recipient':
      return { is: 'failed', error: sendError('recipient_not_found', failure.waCode) }
    case 'refused': {
      const error = failure.waCode === undefined ? sendError('rejected') : ofAckError(failure.waCode)
      return { is: error.permanent ? 'failed' : 'again', error }
    }
    case 'slow_down':
      return { is: 'again', error: sendError('rate_limited', failure.waCode) }
    case 'unknown':
      return { is: 'again', error: sendError('outcome_unknown') }
    case 'broken':
      return { is: 'again', error: sendError(failure.unknownOutcome ? 'outcome_unknown' : 'node_failed') }
    case 'unreachable':
      return { is: 'waiting' }
  }
}
