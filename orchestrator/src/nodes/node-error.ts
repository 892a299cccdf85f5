/** How a call to a node failed, and whether it may have taken effect. */
import { type NodeErrorCode, nodeErrors, problem } from '@palomar/session-node/contract'

/** codes of the contract, and those of a call that got no answer, or none that makes sense */
export type NodeCallErrorCode = NodeErrorCode | 'unreachable' | 'no_answer' | 'bad_answer'

export class NodeError extends Error {
  readonly code: NodeCallErrorCode
  /** the same request may succeed later */
  readonly retryable: boolean
  /** WhatsApp's own code, where it gave one */
  readonly waCode: number | undefined
  /** the request may have been carried out: a send must be tried again under the same id, never given up as failed */
  readonly unknownOutcome: boolean

  constructor(
    code: NodeCallErrorCode,
    message: string,
    options: ErrorOptions & { retryable: boolean; waCode?: number; unknownOutcome?: boolean },
  ) {
    super(message, options)
    this.name = 'NodeError'
    this.code = code
    this.retryable = options.retryable
    this.waCode = options.waCode
    this.unknownOutcome = options.unknownOutcome ?? false
  }
}

/** what a connection says when not one byte of the request has left */
const neverSent = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_CLOSED',
  'UND_ERR_DESTROYED',
])

/** A call that ended without an answer: refused is certain, anything later is not. */
export function unanswered(error: unknown, address: string): NodeError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const words = error instanceof Error ? error.message || code : String(error)
  if (neverSent.has(code))
    return new NodeError('unreachable', `the node at ${address} cannot be reached: ${words}`, {
      retryable: true,
      cause: error,
    })
  return new NodeError('no_answer', `the node at ${address} did not answer: ${words}`, {
    retryable: true,
    unknownOutcome: true,
    cause: error,
  })
}

const mayHaveHappened: readonly string[] = ['internal', 'ack_timeout']

/** An answer that is not a success: the contract's problem document, or whatever else came. */
export function refused(status: number, body: unknown): NodeError {
  const parsed = problem.safeParse(body)
  if (!parsed.success || !isNodeErrorCode(parsed.data.code))
    return new NodeError('bad_answer', `the node answered ${status} outside its contract`, {
      retryable: status >= 500,
      unknownOutcome: status >= 500,
    })
  const { code, detail, title, wa_code, retryable } = parsed.data
  return new NodeError(code, detail ?? title, {
    retryable: retryable ?? nodeErrors[code].retryable,
    waCode: wa_code,
    unknownOutcome: mayHaveHappened.includes(code),
  })
}

function isNodeErrorCode(code: string): code is NodeErrorCode {
  return Object.hasOwn(nodeErrors, code)
}
