/** What the orchestrator asks of a node. All requests carry `Authorization: Bearer <node token>`. */
import { z } from 'zod'
import { textContent } from './content.ts'
import { address, base64, waMessageId, waTimestamp } from './primitives.ts'

/**
 * POST /messages: sends under an id that the orchestrator chose. The answer comes after the server's ack. A repeat of
 * an acknowledged id is answered without sending; a repeat of one in flight joins it.
 */
export const sendCommand = z.object({
  id: waMessageId,
  to: address,
  /** look the number up first (a chat that never had a message): the answer's `recipient` is the true one */
  resolve: z.boolean().default(false),
  content: textContent,
  /** quoting: the id, and the stored protobuf of the quoted message where we have it */
  context: z
    .object({
      message_id: waMessageId,
      from_me: z.boolean(),
      participant: z.string().optional(),
      raw: base64.optional(),
    })
    .optional(),
  /** proto.Message of an earlier try, sent again as it is, so that a retry is the same message */
  raw: base64.optional(),
  /** one of several in a row: what became of it may wait for the next one's commit */
  company: z.boolean().default(false),
  ack_timeout_ms: z.number().int().min(100).max(120_000).default(20_000),
})
export type SendCommand = z.infer<typeof sendCommand>
export type SendCommandInput = z.input<typeof sendCommand>

export const sendResult = z.object({
  id: waMessageId,
  /** the server's own time of the ack */
  acked_at: waTimestamp,
  recipient: address,
  /** the id had been acknowledged before; nothing was sent now */
  repeated: z.boolean(),
})
export type SendResult = z.infer<typeof sendResult>

/** GET /session/qr?wait_ms=: starts pairing when it has stopped, waits for a code. 409 already_paired. */
export const qrResult = z.object({ text: z.string(), expires_at: z.iso.datetime() })
export type QrResult = z.infer<typeof qrResult>

/** POST /session/pairing-code */
export const pairingCodeCommand = z.object({ phone: z.string().regex(/^\d{7,15}$/) })
export const pairingCodeResult = z.object({ code: z.string(), expires_at: z.iso.datetime() })
export type PairingCodeResult = z.infer<typeof pairingCodeResult>

/** what the node's own connection is doing; the orchestrator's session states add created, starting and stopped ones */
export const connectionState = z.enum([
  'waiting_qr',
  'connecting',
  'active',
  'reconnecting',
  'closed',
  'logged_out',
  'error',
])
export type ConnectionState = z.infer<typeof connectionState>

/** GET /session */
export const sessionResult = z.object({
  state: connectionState,
  me: address.extend({ name: z.string().optional() }).optional(),
  qr: qrResult.optional(),
})
export type SessionResult = z.infer<typeof sessionResult>

/** GET /health: 200 while the process can do its work, connected or not */
export const healthResult = z.object({
  status: z.literal('ok'),
  session_id: z.string(),
  node_id: z.string(),
  generation: z.number().int().nullable(),
  state: connectionState,
  uptime_seconds: z.number(),
  /** last stanza from WhatsApp; null before the first */
  last_traffic_at: z.iso.datetime().nullable(),
  commits: z.object({
    pending: z.number().int(),
    pending_bytes: z.number().int(),
    durable_seq: z.number().int(),
  }),
})
export type HealthResult = z.infer<typeof healthResult>
