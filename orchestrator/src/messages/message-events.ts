/** The events that messages make. Each carries the whole message, so that a listener never has to ask for it. */
import type { EventType, NewEvent } from '../events/types.ts'
import { type MessageRow, viewMessage } from './message-view.ts'
import { type MessageStatus, reached } from './status.ts'

export function messageEvent(type: EventType, row: MessageRow): NewEvent {
  return { tenantId: row.tenantId, accountId: row.accountId, type, data: { message: viewMessage(row) } }
}

/** One event for each status that a message passed; the end of an asynchronous send is told as `message.ack` too. */
export function statusEvents(before: MessageStatus, row: MessageRow): NewEvent[] {
  if (row.status === 'failed' && before !== 'failed') {
    return [messageEvent('message.failed', row), ...ackEvents(row, 'failed')]
  }
  return reached(before, row.status).flatMap((rung) => {
    if (rung === 'played') return []
    const event = messageEvent(`message.${rung}`, row)
    return rung === 'sent' ? [event, ...ackEvents(row, 'sent')] : [event]
  })
}

export function cancelledEvents(row: MessageRow): NewEvent[] {
  return [messageEvent('message.cancelled', row), ...ackEvents(row, 'cancelled')]
}

function ackEvents(row: MessageRow, status: 'sent' | 'failed' | 'cancelled'): NewEvent[] {
  if (!row.correlationId) return []
  const data = {
    correlation_id: row.correlationId,
    message_id: row.id,
    wa_id: row.waId,
    status,
    error: status === 'failed' ? row.error : null,
  }
  return [{ tenantId: row.tenantId, accountId: row.accountId, type: 'message.ack', data }]
}
