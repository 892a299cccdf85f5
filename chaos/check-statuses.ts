/** Statuses of what we sent: only forward in the event log, and at the end what the contact really did. */
import type { Violation } from './checker.ts'
import type { Evidence, StoredEvent, StoredMessage } from './evidence.ts'
import { groupBy } from './group-by.ts'

const ladder = ['message.sent', 'message.delivered', 'message.read']
const rank = (type: string) => ladder.indexOf(type)

export function checkStatuses({ history, messages, events, contacts }: Evidence): Violation[] {
  const byMessage = groupBy(events, ({ messageId }) => messageId)
  const reads = new Map(history.contacts.map((contact) => [contact.phone, contact.reads]))
  const arrived = new Map(
    contacts.flatMap(({ phone, received }) => received.map(({ text }) => [text, phone] as const)),
  )
  return messages.flatMap((row) => {
    if (row.direction !== 'outbound') return []
    const contact = arrived.get(row.text ?? '')
    const due = contact === undefined ? undefined : reads.get(contact) ? 'read' : 'delivered'
    return [...checkLog(row, byMessage.get(row.id) ?? []), ...checkEnd(row, due)]
  })
}

function checkLog(row: StoredMessage, events: readonly StoredEvent[]): Violation[] {
  const violations: Violation[] = []
  const tell = (kind: Violation['kind'], what: string) =>
    violations.push({ kind, what, message: row.text ?? row.waId })
  let highest = -1
  let failed = false
  for (const { type, id } of events) {
    if (type === 'message.failed') {
      if (highest >= 0 || failed)
        tell('status_regressions', `event ${id} says failed after ${ladder[highest] ?? type}`)
      failed = true
    }
    if (rank(type) < 0) continue
    if (rank(type) <= highest) tell('status_regressions', `event ${id} says ${type} after ${ladder[highest]}`)
    highest = Math.max(highest, rank(type))
  }
  const told = highest >= 0 ? ladder[highest]?.replace('message.', '') : failed ? 'failed' : row.status
  if (told !== row.status) tell('status_regressions', `it is ${row.status}, and the last event says ${told}`)
  const acks = events.filter(({ type }) => type === 'message.ack').length
  if (row.correlationId && row.status !== 'pending' && acks === 0) tell('lost', 'no message.ack')
  return violations
}

/** @param due what its contact did with it; undefined when it never came there */
function checkEnd(row: StoredMessage, due: string | undefined): Violation[] {
  if (due === undefined || row.status === due) return []
  const what = `it is ${row.status}${row.error ? ` (${row.error.code})` : ''}, and its contact has ${due} it`
  return [{ kind: 'wrong_status', what, message: row.text ?? row.waId }]
}
