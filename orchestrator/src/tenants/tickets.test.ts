import { expect, test } from 'vitest'
import { createTickets } from './tickets.ts'

test('a ticket opens once, and not after its time', () => {
  let now = 0
  const tickets = createTickets(() => now)
  const caller = { tenantId: 'a', keyId: 'k', scopes: ['read'] as const }
  const { ticket } = tickets.issue(caller)
  expect(tickets.redeem(ticket)).toBe(caller)
  expect(tickets.redeem(ticket)).toBeNull()
  const late = tickets.issue(caller).ticket
  now = 31_000
  expect(tickets.redeem(late)).toBeNull()
})
