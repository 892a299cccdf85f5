/**
 * Judges a run. A pure function of the evidence, so that its tests can show that it sees each kind of fault.
 *
 * Inbound order: in one chat, `message.received` events come in the order in which the contact sent. Two kinds of
 * message are left out of the comparison, since WhatsApp itself brought them late: those of which a copy never left the
 * server (a fault; they come at a later login), and those that were sent again because they could not be read.
 *
 * Outbound order: of two messages to one contact, the second asked for after the first had been answered, the first
 * arrives first; and so do items of one bulk request. What was asked for at the same time has no order. A message that
 * the contact could not read at once is left out: WhatsApp shows it where it was, but we only learn when it was read.
 */
import { checkConversations } from './check-conversations.ts'
import { checkInbound } from './check-inbound.ts'
import { checkOutbound } from './check-outbound.ts'
import { checkStatuses } from './check-statuses.ts'
import type { Evidence } from './evidence.ts'

export const kinds = [
  'lost',
  'duplicate',
  'misordered',
  'status_regressions',
  'wrong_status',
  'undecryptable',
] as const
export type Kind = (typeof kinds)[number]

export interface Violation {
  kind: Kind
  what: string
  /** the text, or the id where there is none, by which the message is found in the evidence */
  message: string
}

export interface Verdict {
  violations: Violation[]
  counts: Record<Kind, number>
  /** the same id twice on the wire to a contact, who sees it once */
  repeats: number
  /** messages that a reader had to ask for again before it could read them, either way: none is lost by it */
  asked_again: number
}

export function check(evidence: Evidence): Verdict {
  const violations = [
    ...checkInbound(evidence),
    ...checkOutbound(evidence),
    ...checkStatuses(evidence),
    ...checkConversations(evidence),
  ]
  const counts = Object.fromEntries(
    kinds.map((kind) => [kind, violations.filter((violation) => violation.kind === kind).length]),
  ) as Record<Kind, number>
  const arrivals = evidence.contacts.flatMap(({ received }) => received)
  const sent = evidence.contacts.flatMap(({ sent }) => sent)
  return {
    violations,
    counts,
    repeats: arrivals.reduce((sum, { times }) => sum + times - 1, 0),
    asked_again:
      arrivals.filter(({ asked }) => asked > 0).length + sent.filter(({ resends }) => resends > 0).length,
  }
}
