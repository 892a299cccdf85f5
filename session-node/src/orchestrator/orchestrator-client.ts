import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import type { z } from 'zod'
import {
  type AttachRequest,
  type AttachResult,
  attachResult,
  commitResult,
  keysResult,
  problem,
  storedMessage,
} from '../../contract/index.ts'
import { backoff } from '../backoff.ts'
import { exitCodes, FatalError } from '../errors.ts'
import { describeError, type Logger } from '../logger.ts'

export interface OrchestratorClientOptions {
  url: string
  sessionId: string
  token: string
  logger: Logger
}

const REQUEST_TIMEOUT_MS = 30_000

/** The orchestrator's internal API, as this session sees it. */
export class OrchestratorClient {
  readonly #pool: Pool
  readonly #base: string
  readonly #headers: Record<string, string>
  readonly #logger: Logger
  #generation = 0

  constructor({ url, sessionId, token, logger }: OrchestratorClientOptions) {
    const { origin, pathname } = new URL(url)
    this.#pool = new Pool(origin, {
      connections: 4,
      keepAliveTimeout: 30_000,
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
      connect: { timeout: 5_000 },
    })
    this.#base = `${pathname.replace(/\/$/, '')}/internal/sessions/${encodeURIComponent(sessionId)}`
    this.#headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    this.#logger = logger
  }

  /** takes the session over; older nodes are fenced from then on */
  async attach(request: AttachRequest): Promise<AttachResult> {
    const result = await this.#persist('attach', attachResult, JSON.stringify(request))
    this.#generation = result.generation
    return result
  }

  /** keys that are stored; asks until it is answered, since a missing answer is not a missing key */
  async keys(type: string, ids: string[]): Promise<Record<string, string>> {
    const body = JSON.stringify({ generation: this.#generation, type, ids })
    return (await this.#persist('keys', keysResult, body)).values
  }

  /** one try of one commit */
  async commit(body: string): Promise<void> {
    await this.#request('POST', 'commits', commitResult, body)
  }

  /** the stored protobuf of a message, or nothing */
  async storedMessage(id: string): Promise<Buffer | undefined> {
    const { raw } = await this.#persist(`messages/${encodeURIComponent(id)}`, storedMessage)
    return raw === null ? undefined : Buffer.from(raw, 'base64')
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }

  async #persist<T extends z.ZodType>(path: string, schema: T, body?: string): Promise<z.output<T>> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#request(body === undefined ? 'GET' : 'POST', path, schema, body)
      } catch (error) {
        if (error instanceof FatalError) throw error
        const delay = backoff(attempt, 100, 5_000)
        const fields = { path, attempt, delay_ms: delay, error: describeError(error) }
        if (attempt === 0) this.#logger.warn('the orchestrator did not answer, asking again', fields)
        else this.#logger.debug('the orchestrator did not answer', fields)
        await sleep(delay)
      }
    }
  }

  async #request<T extends z.ZodType>(
    method: 'GET' | 'POST',
    path: string,
    schema: T,
    body?: string,
  ): Promise<z.output<T>> {
    const response = await this.#pool.request({
      method,
      path: `${this.#base}/${path}`,
      headers: this.#headers,
      body: body ?? null,
    })
    if (response.statusCode === 200 || response.statusCode === 201) {
      return schema.parse(await response.body.json())
    }
    throw refusal(path, response.statusCode, await response.body.text())
  }
}

/** 410 and other refusals of what we say end the node; the rest may pass */
const refusal = (path: string, status: number, text: string): Error => {
  const code = problemCode(text)
  if (status === 410) return new FatalError(exitCodes.fenced, 'A newer node has attached to this session')
  const passing = status >= 500 || status === 408 || status === 425 || status === 429
  const message = `The orchestrator answered ${path} with ${status}${code ? ` ${code}` : ''}`
  return passing ? new Error(message) : new FatalError(exitCodes.refused, message)
}

const problemCode = (text: string): string | undefined => {
  try {
    const parsed = problem.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data.code : undefined
  } catch {
    // a proxy's page rather than a problem: the status says enough
    return undefined
  }
}
