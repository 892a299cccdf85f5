/**
 * JSON over Node's own HTTP client with connections kept alive. Express has it loaded already; undici would cost every
 * session some 4 MB more.
 */
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'

export interface JsonAnswer {
  status: number
  text: string
}

export interface JsonRequest {
  method: 'GET' | 'POST'
  path: string
  body?: string | undefined
}

const TIMEOUT_MS = 30_000

export class JsonClient {
  readonly #url: URL
  readonly #base: string
  readonly #headers: Record<string, string>
  readonly #agent: HttpAgent
  readonly #request: typeof httpRequest

  constructor(url: string, headers: Record<string, string>) {
    this.#url = new URL(url)
    this.#base = this.#url.pathname.replace(/\/$/, '')
    this.#headers = headers
    const secure = this.#url.protocol === 'https:'
    this.#request = secure ? httpsRequest : httpRequest
    this.#agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: 4 })
  }

  /** whatever the server answered; throws only when there is no answer */
  async send(request: JsonRequest): Promise<JsonAnswer> {
    const first = this.#open(request)
    try {
      return await answerOf(first)
    } catch (error) {
      // the server closed an idle connection as we took it: nothing is known to be wrong
      if (first.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET') {
        return await answerOf(this.#open(request))
      }
      throw error
    }
  }

  #open({ method, path, body }: JsonRequest): ClientRequest {
    const { protocol, hostname, port } = this.#url
    const request = this.#request({
      protocol,
      // URL keeps the brackets of an IPv6 address
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      method,
      path: `${this.#base}${path}`,
      agent: this.#agent,
      timeout: TIMEOUT_MS,
      headers: {
        ...this.#headers,
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
    })
    request.on('timeout', () => request.destroy(new Error(`No answer within ${TIMEOUT_MS} ms`)))
    return request.end(body)
  }
}

const answerOf = (request: ClientRequest): Promise<JsonAnswer> =>
  new Promise((resolve, reject) => {
    request.once('error', reject)
    request.once('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') })
      })
      response.once('close', () => {
        if (!response.complete) reject(new Error('The answer was cut off'))
      })
    })
  })
