/** What a node reports inside its commits. */
import { z } from 'zod'
import { connectionState } from './commands.ts'
import { content, replyContext } from './content.ts'
import { address, base64, ciphertextHash, waMessageId, waTimestamp } from './primitives.ts'

/** The connection's state changed. `code` is WhatsApp's or Baileys' disconnect code (401, 428, 515, …). */
export const stateReport = z.object({
  type: z.literal('state'),
  state: connectionState,
  code: z.number().int().optional(),
  reason: z.string().max(1_000).optional(),
  /** when the node will try again by itself */
  retry_at: z.iso.datetime().optional(),
  me: address.extend({ name: z.string().optional() }).optional(),
})

export const qrReport = z.object({ type: z.literal('qr'), text: z.string(), expires_at: z.iso.datetime() })

/**
 * A message of a chat, in either direction. `live` and `offline` (queued while we were away) are new to us; `phone` was
 * sent by the owner on another device; `history` is old and is never broadcast.
 */
export const messageReport = z.object({
  type: z.literal('message'),
  origin: z.enum(['live', 'offline', 'phone', 'history']),
  id: waMessageId,
  from_me: z.boolean(),
  chat: address,
  /** who wrote it, in groups; in a 1:1 chat the peer or ourselves */
  sender: address,
  timestamp: waTimestamp,
  push_name: z.string().optional(),
  content,
  context: replyContext.optional(),
  /** proto.Message */
  raw: base64.optional(),
  /** inbox entries that this event accounts for */
  settles: z.array(ciphertextHash).default([]),
})
export type MessageReport = z.infer<typeof messageReport>

/** The protobuf that a send is about to put on the wire, committed with its ratchet before the bytes leave */
export const preparedReport = z.object({ type: z.literal('prepared'), id: waMessageId, raw: base64 })

/** The server's ack of one of our messages; `error` is its code when it refused */
export const ackReport = z.object({
  type: z.literal('ack'),
  id: waMessageId,
  timestamp: waTimestamp,
  error: z.number().int().optional(),
})
export type AckReport = z.infer<typeof ackReport>

/** Ticks. `reader` differs from the chat in groups. */
export const receiptReport = z.object({
  type: z.literal('receipt'),
  ids: z.array(waMessageId).min(1),
  status: z.enum(['delivered', 'read', 'played']),
  chat: address,
  reader: address.optional(),
  timestamp: waTimestamp,
})
export type ReceiptReport = z.infer<typeof receiptReport>

/** Inbox entries that need no event (protocol messages that have been acted upon) */
export const settledReport = z.object({ type: z.literal('settled'), hashes: z.array(ciphertextHash).min(1) })

/** Phone numbers and LIDs found to be one person */
export const identitiesReport = z.object({
  type: z.literal('identities'),
  pairs: z
    .array(z.object({ pn: z.string().regex(/^\d{5,20}$/), lid: z.string().regex(/^\d{5,24}$/) }))
    .min(1),
})

/** A part of the history sync; at most 200 messages an event */
export const historyReport = z.object({
  type: z.literal('history'),
  messages: z.array(messageReport).max(200),
  chats: z.array(z.object({ address, name: z.string().optional() })).max(1_000),
})

export const nodeEvent = z.discriminatedUnion('type', [
  stateReport,
  qrReport,
  messageReport,
  preparedReport,
  ackReport,
  receiptReport,
  settledReport,
  identitiesReport,
  historyReport,
])
export type NodeEvent = z.infer<typeof nodeEvent>
export type NodeEventInput = z.input<typeof nodeEvent>
