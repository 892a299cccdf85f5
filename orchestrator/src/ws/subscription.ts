/** What one WebSocket client wants to hear: all of its tenant's events, or those of some accounts or types. */
import { z } from 'zod'
import { eventTypes, type StoredEvent } from '../events/types.ts'

export const subscription = z.strictObject({
  /** only these accounts; absent: all of the tenant's */
  account_ids: z.array(z.uuid()).max(1_000).optional(),
  /** only these types; absent: all */
  events: z.array(z.enum(eventTypes)).max(eventTypes.length).optional(),
})
export type Subscription = z.infer<typeof subscription>

/** the one message that a client may send: it replaces what was subscribed before */
export const clientMessage = z.strictObject({ type: z.literal('subscribe'), ...subscription.shape })

/** From `/ws?account_id=…&account_id=…&event=message.received`. Null when a value is not valid. */
export function subscriptionOfQuery(query: URLSearchParams): Subscription | null {
  const all = (name: string) => (query.has(name) ? query.getAll(name) : undefined)
  return subscription.safeParse({ account_ids: all('account_id'), events: all('event') }).data ?? null
}

export function wants({ account_ids, events }: Subscription, event: StoredEvent): boolean {
  return (!account_ids || account_ids.includes(event.account_id)) && (!events || events.includes(event.type))
}
