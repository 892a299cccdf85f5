import { type NodeErrorCode, nodeErrors, type Problem } from '../contract/index.ts'

/** A failure with a place in the contract's table: what the orchestrator gets to see. */
export class NodeError extends Error {
  override readonly name = 'NodeError'
  readonly code: NodeErrorCode
  readonly waCode: number | undefined

  constructor(code: NodeErrorCode, detail?: string, options: ErrorOptions & { waCode?: number } = {}) {
    super(detail ?? nodeErrors[code].title, options)
    this.code = code
    this.waCode = options.waCode
  }

  toProblem(): Problem {
    const { status, title, retryable } = nodeErrors[this.code]
    return {
      type: `urn:palomar:node:${this.code}`,
      title,
      status,
      code: this.code,
      detail: this.message,
      retryable,
      ...(this.waCode === undefined ? {} : { wa_code: this.waCode }),
    }
  }
}

/** Ends the process: nothing that the node could do would help. */
export class FatalError extends Error {
  override readonly name = 'FatalError'
  readonly exitCode: number

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** what the process ends with; the drivers show it */
export const exitCodes = {
  drained: 0,
  crashed: 1,
  badEnvironment: 2,
  fenced: 3,
  refused: 4,
  orphaned: 5,
} as const
