/** A REST client that costs little: on a small machine what the client burns is missing where it is measured. */
import { Agent, request } from 'node:http'
import type { PalomarClient } from '../harness/palomar-client.ts'

export interface LeanClient {
  /** throws when the status is another than expected */
  post<T>(path: string, body: unknown, expected: number): Promise<T>
  close(): void
}

/** well before the server closes an idle connection, which could meet a request on its way */
const IDLE_MS = 20_000

/** as a client's pool has: past them requests wait here, rather than as connections that the kernel resets */
const CONNECTIONS = 128

/** Keeps connections alive. */
export function leanClient({ url, key }: Pick<PalomarClient, 'url' | 'key'>): LeanClient {
  const agent = new Agent({ keepAlive: true, timeout: IDLE_MS, maxSockets: CONNECTIONS })
  const { hostname, port } = new URL(url)
  return {
    post: <T>(path: string, body: unknown, expected: number) =>
      new Promise<T>((resolve, reject) => {
        const payload = Buffer.from(JSON.stringify(body))
        const headers = {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'content-length': payload.length,
        }
        const sent = request({ agent, hostname, port, path, method: 'POST', headers }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString()
            if (response.statusCode === expected) resolve(JSON.parse(text) as T)
            else reject(new Error(`POST ${path}: ${response.statusCode} instead of ${expected}: ${text}`))
          })
        })
        sent.on('error', reject)
        sent.end(payload)
      }),
    close: () => agent.destroy(),
  }
}
