import { setTimeout as sleep } from 'node:timers/promises'
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
import { JsonClient } from './json-client.ts'

export interface OrchestratorClientOptions {
  url: string
  sessionId: string
  token: string
  logger: Logger
}

/** The orchestrator's internal API, as this session sees it. */
export class OrchestratorClient {
  readonly #http: JsonClient
  readonly #base: string
  readonly #logger: Logger
  #generation = 0

  constructor({ url, sessionId, token, logger }: OrchestratorClientOptions) {
    this.#http = new JsonClient(url, { authorization: `Bearer ${token}` })
    this.#base = `/internal/sessions/${encodeURIComponent(sessionId)}`
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
    const { status, text } = await this.#http.send({ method, path: `${this.#base}/${path}`, body })
    if (status === 200 || status === 201) return schema.parse(JSON.parse(text))
    throw refusal(path, status, text)
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
