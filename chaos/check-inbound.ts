/** What people wrote to us: each message once in Postgres and once in the event log, readable, in their order. */
import type { Violation } from './checker.ts'
import type { ContactEvidence, Evidence } from './evidence.ts'
import { groupBy } from './group-by.ts'
import type { Inbound } from './history.ts'

const idOf = ({ accountId, waId }: { accountId: string; waId: string }) => `${accountId} ${waId}`

export function checkInbound({ history, messages, events, contacts }: Evidence): Violation[] {
  const stored = messages.filter(({ direction }) => direction === 'inbound')
  const rows = groupBy(stored, idOf)
  const announced = groupBy(
    events.filter(({ type }) => type === 'message.received'),
    idOf,
  )
  const wire = new Map(contacts.flatMap(({ sent }) => sent.map((each) => [each.id, each])))
  const known = new Set(history.inbound.map(idOf))

  const violations: Violation[] = []
  for (const message of history.inbound) {
    const tell = (kind: Violation['kind'], what: string) =>
      violations.push({ kind, what, message: `${message.text} (${message.waId})` })
    const [row, ...more] = rows.get(idOf(message)) ?? []
    const told = announced.get(idOf(message)) ?? []
    if (!row) {
      const receipted = wire.get(message.waId)?.delivered !== undefined
      tell('lost', receipted ? 'WhatsApp has our receipt, Postgres has no message' : 'it never arrived')
      continue
    }
    if (more.length > 0) tell('duplicate', `${more.length + 1} rows`)
    if (row.type === 'undecryptable') {
      tell('undecryptable', 'it was never made readable')
      continue
    }
    if (row.text !== message.text) tell('lost', `Postgres has another text: ${row.text}`)
    if (told.length === 0) tell('lost', 'no message.received')
    if (told.length > 1) tell('duplicate', `${told.length} message.received`)
  }
  for (const row of stored) {
    if (!known.has(idOf(row)))
      violations.push({ kind: 'duplicate', what: 'nobody sent it', message: `${row.text} (${row.waId})` })
  }
  return [...violations, ...checkOrder(history.inbound, announced, wire)]
}

function checkOrder(
  inbound: readonly Inbound[],
  announced: ReadonlyMap<string, { id: number }[]>,
  wire: ReadonlyMap<string, ContactEvidence['sent'][number]>,
): Violation[] {
  const violations: Violation[] = []
  for (const chat of groupBy(inbound, ({ accountId, contact }) => `${accountId} ${contact}`).values()) {
    let latest: { id: number; text: string } | undefined
    for (const message of chat) {
      const told = announced.get(idOf(message))?.[0]
      const sent = wire.get(message.waId)
      if (!told || sent?.dropped || (sent?.resends ?? 0) > 0) continue
      if (latest && told.id < latest.id) {
        const what = `its event ${told.id} is before that of ${latest.text}, ${latest.id}, which was sent earlier`
        violations.push({ kind: 'misordered', what, message: `${message.text} (${message.waId})` })
      } else latest = { id: told.id, text: message.text }
    }
  }
  return violations
}
