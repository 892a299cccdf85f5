/**
 * Calls to one session node, by the contract. Every method throws a `NodeError`; an answer that does not fit the
 * contract is one too. Times are milliseconds.
 */
import {
  type HealthResult,
  healthResult,
  type PairingCodeResult,
  pairingCodeResult,
  type QrResult,
  qrResult,
  type SendCommandInput,
  type SendResult,
  type SessionResult,
  sendCommand,
  sendResult,
  sessionResult,
} from '@palomar/session-node/contract'
import { Pool } from 'undici'
import { z } from 'zod'
import { NodeError, refused, unanswered } from './node-error.ts'

export interface NodeClient {
  readonly address: string
  /** Resolves after the server's ack. */
  send(command: SendCommandInput): Promise<SendResult>
  session(): Promise<SessionResult>
  /** Starts pairing when it has stopped, and waits up to `waitMs` for a code. */
  qr(waitMs: number, signal?: AbortSignal): Promise<QrResult>
  /** `phone`: digits with country code */
  pairingCode(phone: string, signal?: AbortSignal): Promise<PairingCodeResult>
  /** Logs out of WhatsApp, which ends the credentials. */
  logout(timeoutMs?: number): Promise<void>
  health(timeoutMs?: number): Promise<HealthResult>
  /** Cuts what is under way. */
  close(): Promise<void>
}

/** on top of what the node itself was asked to wait */
const marginMs = 5_000
/** the contract's bound */
const maxQrWaitMs = 60_000
/** an answer is small; more is a node gone wrong */
const maxAnswerBytes = 1024 * 1024

export function createNodeClient(address: string, token: string): NodeClient {
  const pool = new Pool(address, {
    connections: 8,
    pipelining: 1,
    keepAliveTimeout: 30_000,
    connect: { timeout: 2_000 },
    // The deadline of each call is its own.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: maxAnswerBytes,
  })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }

  async function call<T extends z.ZodType>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    answer: T,
    timeoutMs: number,
    { body, signal }: { body?: unknown; signal?: AbortSignal } = {},
  ): Promise<z.output<T>> {
    // `AbortSignal.timeout` would fire, with a stack trace, for each call that has long been answered
    const deadline = new AbortController()
    const timer = setTimeout(() => {
      deadline.abort(new Error(`no answer within ${timeoutMs} ms`))
    }, timeoutMs)
    let status: number
    let text: string
    try {
      const response = await pool.request({
        method,
        path,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: signal ? AbortSignal.any([deadline.signal, signal]) : deadline.signal,
      })
      status = response.statusCode
      text = await response.body.text()
    } catch (error) {
      throw unanswered(error, address)
    } finally {
      clearTimeout(timer)
    }
    if (status < 200 || status > 299) throw refused(status, json(text))
    const parsed = answer.safeParse(json(text))
    if (parsed.success) return parsed.data
    throw new NodeError('bad_answer', `${method} ${path}: the answer is outside the contract`, {
      retryable: true,
      unknownOutcome: true,
      cause: parsed.error,
    })
  }

  return {
    address,
    send(command) {
      const body = sendCommand.parse(command)
      return call('POST', '/messages', sendResult, body.ack_timeout_ms + marginMs, { body })
    },
    session: () => call('GET', '/session', sessionResult, marginMs),
    qr(waitMs, signal) {
      const ms = Math.min(Math.round(waitMs), maxQrWaitMs)
      return call('GET', `/session/qr?wait_ms=${ms}`, qrResult, ms + marginMs, { signal })
    },
    pairingCode: (phone, signal) =>
      call('POST', '/session/pairing-code', pairingCodeResult, 30_000, { body: { phone }, signal }),
    async logout(timeoutMs = 10_000) {
      await call('DELETE', '/session', z.unknown(), timeoutMs)
    },
    health: (timeoutMs = 2_000) => call('GET', '/health', healthResult, timeoutMs),
    close: () => pool.destroy(),
  }
}

/** undefined for what is not JSON: the schema then refuses it */
function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
