/**
 * Errors that cross between orchestrator and node, one table: code → HTTP status, title, whether the same request
 * may succeed later. Bodies are application/problem+json: {type, title, status, code, detail, …}.
 */
import { z } from 'zod'

export const nodeErrors = {
  invalid_request: { status: 400, title: 'The request does not fit the contract', retryable: false },
  unauthorized: { status: 401, title: 'The node token is missing or wrong', retryable: false },
  not_found: { status: 404, title: 'No such resource', retryable: false },
  not_connected: { status: 409, title: 'The session is not connected to WhatsApp', retryable: true },
  already_paired: { status: 409, title: 'The session is paired already', retryable: false },
  sequence_gap: { status: 409, title: 'A commit before this one is missing', retryable: false },
  fenced: { status: 410, title: 'A newer node has attached to this session', retryable: false },
  too_large: { status: 413, title: 'The body is too large', retryable: false },
  recipient_not_found: { status: 422, title: 'The recipient is not on WhatsApp', retryable: false },
  rejected: { status: 422, title: 'WhatsApp refused the message', retryable: false },
  throttled: { status: 429, title: 'WhatsApp asks to slow down', retryable: true },
  internal: { status: 500, title: 'The node failed', retryable: true },
  overloaded: { status: 503, title: 'Too much waits to be committed', retryable: true },
  pairing_unavailable: { status: 503, title: 'WhatsApp gave no QR or code in time', retryable: true },
  ack_timeout: {
    status: 504,
    title: 'No acknowledgement came in time; the end of the send is unknown',
    retryable: true,
  },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean }>

export type NodeErrorCode = keyof typeof nodeErrors

export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  detail: z.string().optional(),
  /** WhatsApp's own code, where it gave one (ack error 463, 479, …) */
  wa_code: z.number().int().optional(),
  retryable: z.boolean().optional(),
})
export type Problem = z.infer<typeof problem>
