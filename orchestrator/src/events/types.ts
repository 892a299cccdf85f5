/** Events: immutable facts of a tenant's accounts, in the order of their ids. */

export const eventTypes = [
  'session.created',
  'session.qr.updated',
  'session.status.connected',
  'session.status.disconnected',
  'message.received',
  'message.sent',
  'message.delivered',
  'message.read',
  'message.failed',
  'message.cancelled',
  'message.ack',
] as const
export type EventType = (typeof eventTypes)[number]

export interface NewEvent {
  tenantId: string
  accountId: string
  type: EventType
  /** snake_case JSON, as callers will see it */
  data: Record<string, unknown>
}

/** As it is broadcast over WebSocket. */
export interface StoredEvent {
  /** decimal; taken when written: concurrent commits may become visible out of its order (docs/decisions.md) */
  id: string
  type: EventType
  tenant_id: string
  account_id: string
  /** ISO 8601 */
  created_at: string
  data: Record<string, unknown>
}
