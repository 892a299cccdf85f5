/**
 * The person on call. A session whose nodes were killed five times in a row, before they could connect, is in `error`
 * and tries again slowly, as it should; whoever has mended the cause presses start.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { PalomarClient } from '../harness/palomar-client.ts'

const LOOK_EVERY_MS = 3_000
const PATIENCE_MS = 10_000

/** Starts what is in error, until the signal. @returns how often */
export async function startWhatIsInError(client: PalomarClient, signal: AbortSignal): Promise<number> {
  let starts = 0
  while (await delay(LOOK_EVERY_MS, true, { signal }).catch(() => false)) {
    for (const id of await inError(client)) if (await start(client, id)) starts++
  }
  return starts
}

async function inError(client: PalomarClient): Promise<string[]> {
  const answer = await ask<{ data: { id: string; state: string }[] }>(
    client,
    'GET',
    '/api/accounts?limit=200',
  )
  return answer?.data.filter(({ state }) => state === 'error').map(({ id }) => id) ?? []
}

const start = async (client: PalomarClient, id: string) =>
  (await ask(client, 'POST', `/api/accounts/${id}/session`)) !== undefined

/** undefined when the orchestrator is away or in trouble: one looks again later */
async function ask<T>(client: PalomarClient, method: string, path: string): Promise<T | undefined> {
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const answer = await client.request<T>(method, path, undefined, {}, signal)
    return answer.status < 300 ? answer.body : undefined
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return undefined
    throw error
  }
}
