/** What the API accepted: seen once by its contact, in order, or failed with a reason; what it refused, never seen. */
import type { Arrival } from '../harness/simulator-process.ts'
import type { Violation } from './checker.ts'
import type { Evidence, StoredMessage } from './evidence.ts'
import { groupBy } from './group-by.ts'
import type { Outbound } from './history.ts'

/** statuses of a message that its contact need not have */
const UNSENT = new Set(['failed', 'cancelled'])

export function checkOutbound({ history, messages, contacts, openJobs }: Evidence): Violation[] {
  const rows = groupBy(
    messages.filter(({ direction }) => direction === 'outbound'),
    ({ text }) => text,
  )
  const seen = new Map(contacts.map(({ phone, received }) => [phone, groupBy(received, ({ text }) => text)]))
  const violations: Violation[] = []
  for (const message of history.outbound) {
    const found = rows.get(message.text) ?? []
    const arrived = seen.get(message.contact)?.get(message.text) ?? []
    violations.push(...checkOne(message, found, arrived))
  }
  const asked = new Set(history.outbound.map(({ contact, text }) => `${contact} ${text}`))
  for (const { phone, received, unreadable } of contacts) {
    for (const { id, text } of received) {
      if (asked.has(`${phone} ${text}`)) continue
      violations.push({
        kind: 'duplicate',
        what: `${phone} has it and nobody asked for it`,
        message: `${text} (${id})`,
      })
    }
    for (const { id, reason } of unreadable)
      violations.push({ kind: 'undecryptable', what: `${phone} cannot read it: ${reason}`, message: id })
  }
  for (const { id, key, state } of openJobs)
    violations.push({ kind: 'lost', what: `job ${id} of ${key} is still ${state}`, message: `job ${id}` })
  return [...violations, ...checkOrder(history.outbound, contacts)]
}

function checkOne(message: Outbound, rows: StoredMessage[], arrived: Arrival[]): Violation[] {
  const violations: Violation[] = []
  const tell = (kind: Violation['kind'], what: string) =>
    violations.push({ kind, what, message: message.text })
  const ids = [...new Set(arrived.map(({ id }) => id))]
  if (ids.length > 1) tell('duplicate', `its contact has it under ${ids.join(' and ')}`)
  if (rows.length > 1) tell('duplicate', `${rows.length} rows`)
  const [row] = rows
  if (message.outcome === 'unanswered') tell('lost', `the API never answered it: ${message.code}`)
  if (message.outcome === 'refused') {
    if (ids.length > 0) tell('duplicate', `refused with ${message.code}, and its contact has it`)
    if (row && !UNSENT.has(row.status))
      tell('wrong_status', `refused with ${message.code}, and it is ${row.status}`)
  }
  if (message.outcome !== 'accepted') return violations
  if (!row) tell('lost', 'accepted, and not in Postgres')
  else if (row.id !== message.id) tell('duplicate', `accepted as ${message.id}, stored as ${row.id}`)
  else if (row.status === 'pending') tell('lost', 'accepted, and neither sent nor failed')
  else if (row.status === 'failed' && !row.error?.code) tell('lost', 'failed without a reason')
  else if (ids.length === 0 && !UNSENT.has(row.status))
    tell('lost', `${row.status}, and its contact does not have it`)
  else if (ids.length > 0 && !ids.includes(row.waId))
    tell('duplicate', `stored as ${row.waId}, arrived as ${ids[0]}`)
  return violations
}

function checkOrder(outbound: readonly Outbound[], contacts: Evidence['contacts']): Violation[] {
  const asked = new Map(outbound.map((message) => [`${message.contact} ${message.text}`, message]))
  const violations: Violation[] = []
  for (const { phone, received } of contacts) {
    const arrivals = received.flatMap((arrival) =>
      arrival.asked > 0 ? [] : (asked.get(`${phone} ${arrival.text}`) ?? []),
    )
    for (const chat of groupBy([...new Set(arrivals)], ({ accountId }) => accountId).values())
      violations.push(...checkChat(chat))
  }
  return violations
}

/** @param chat in the order of arrival */
function checkChat(chat: readonly Outbound[]): Violation[] {
  const violations: Violation[] = []
  let latest: Outbound | undefined
  const places = new Map<string, number>()
  for (const message of chat) {
    const overtaken = latest && message.answeredAt < latest.askedAt
    const swapped = message.place < (places.get(message.key) ?? 0)
    const other = overtaken ? latest?.text : 'a later item of its request'
    if (overtaken || swapped)
      violations.push({ kind: 'misordered', what: `it arrived after ${other}`, message: message.text })
    if (!latest || message.askedAt > latest.askedAt) latest = message
    places.set(message.key, message.place)
  }
  return violations
}
