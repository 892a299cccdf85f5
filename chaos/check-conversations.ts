/** One person is one conversation of an account, by whatever name messages came and went. */
import type { Violation } from './checker.ts'
import type { Evidence } from './evidence.ts'
import { groupBy } from './group-by.ts'

export function checkConversations({ history, messages }: Evidence): Violation[] {
  const contactOf = new Map([
    ...history.inbound.map(({ accountId, waId, contact }) => [`${accountId} ${waId}`, contact] as const),
    ...history.outbound.map(({ accountId, text, contact }) => [`${accountId} ${text}`, contact] as const),
  ])
  const known = messages.flatMap(({ accountId, direction, waId, text, conversationId }) => {
    const contact = contactOf.get(`${accountId} ${direction === 'inbound' ? waId : text}`)
    return contact === undefined ? [] : [{ chat: `${accountId} and ${contact}`, conversationId }]
  })
  return [...groupBy(known, ({ chat }) => chat)].flatMap(([chat, rows]) => {
    const ids = [...new Set(rows.map(({ conversationId }) => conversationId))]
    return ids.length > 1
      ? [{ kind: 'duplicate' as const, what: `${ids.length} conversations`, message: chat }]
      : []
  })
}
