/**
 * One table of all errors that a caller may see: code → HTTP status and title. Bodies are application/problem+json
 * (RFC 9457): {type, title, status, code, detail?, request_id?, errors?[], …}. A code that is not here does not compile.
 */
export const errorTable = {
  invalid_request: { status: 400, title: 'The request is not valid' },
  invalid_json: { status: 400, title: 'The body is not valid JSON' },
  invalid_recipient: { status: 400, title: 'The recipient is not a phone number or a WhatsApp id' },
  invalid_cursor: { status: 400, title: 'The cursor is not one that we gave out' },
  unauthorized: { status: 401, title: 'The API key is missing or not valid' },
  forbidden: { status: 403, title: 'The API key lacks the scope for this' },
  not_found: { status: 404, title: 'There is nothing at this address' },
  account_not_found: { status: 404, title: 'No such account' },
  message_not_found: { status: 404, title: 'No such message' },
  conversation_not_found: { status: 404, title: 'No such conversation' },
  method_not_allowed: { status: 405, title: 'This address does not take that method' },
  session_not_connected: { status: 409, title: 'The session is not connected to WhatsApp' },
  session_stopped: { status: 409, title: 'The session is stopped' },
  session_already_paired: { status: 409, title: 'The session is paired already' },
  message_cancelled: { status: 409, title: 'The message was cancelled before it was sent' },
  message_not_cancellable: { status: 409, title: 'The message can no longer be cancelled' },
  message_not_retryable: { status: 409, title: 'Only a failed message can be retried' },
  idempotency_in_progress: {
    status: 409,
    title: 'The first request with this Idempotency-Key is still running',
  },
  sequence_gap: { status: 409, title: 'A commit before this one is missing' },
  fenced: { status: 410, title: 'A newer node has attached to this session' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be application/json' },
  idempotency_mismatch: { status: 422, title: 'This Idempotency-Key was used with another body' },
  recipient_not_found: { status: 422, title: 'The recipient is not on WhatsApp' },
  message_rejected: { status: 422, title: 'WhatsApp refused the message' },
  rate_limited: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'Something failed on our side' },
  node_unavailable: { status: 503, title: 'The session node does not answer' },
  pairing_unavailable: { status: 503, title: 'WhatsApp gave no QR or code in time' },
  runtime_unavailable: { status: 503, title: 'The container engine does not answer' },
  shutting_down: { status: 503, title: 'The orchestrator is shutting down' },
} as const satisfies Record<string, { status: number; title: string }>

export type ErrorCode = keyof typeof errorTable

/** One bad field: where it is (`to`, `text.body`, `query.limit`) and what is wrong with it. */
export interface FieldError {
  field: string
  message: string
}

/** A failure with a code of the table; `extra` members appear in the problem document as they are. */
export class PalomarError extends Error {
  readonly code: ErrorCode
  readonly fields: FieldError[] | undefined
  readonly extra: Record<string, unknown> | undefined

  constructor(
    code: ErrorCode,
    detail?: string,
    options: ErrorOptions & { fields?: FieldError[]; extra?: Record<string, unknown> } = {},
  ) {
    super(detail ?? errorTable[code].title, options)
    this.name = 'PalomarError'
    this.code = code
    this.fields = options.fields
    this.extra = options.extra
  }

  get status(): number {
    return errorTable[this.code].status
  }
}
