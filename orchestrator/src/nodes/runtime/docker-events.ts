/**
 * Tells of the containers of an installation that die. The stream of events breaks off when the engine restarts; it is
 * opened again with back-off, from the last event. What died with the engine itself is not told: that is found by list.
 */
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type Docker from 'dockerode'
import { installationLabel } from './container-spec.ts'

export interface ContainerDeath {
  id: string
  name: string
  labels: Record<string, string>
  exitCode: number | null
  /** the engine saw the kernel kill one of its processes for memory */
  oomKilled: boolean
}

interface EngineEvent {
  Action: string
  Actor: { ID: string; Attributes: Record<string, string> }
  timeNano: number
}

const firstRetryMs = 250
const lastRetryMs = 10_000
const maxRemembered = 1_000
const maxEventBytes = 1024 * 1024

/** Runs until the signal aborts. `onBreak` is told why the stream ended each time. */
export async function watchDeaths(
  docker: Docker,
  installation: string,
  onDeath: (death: ContainerDeath) => void,
  onBreak: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  const outOfMemory = new Set<string>()
  let lastNano = Date.now() * 1e6
  let retryMs = firstRetryMs
  while (!signal.aborted) {
    try {
      // The library's types know whole seconds only; the engine takes a fraction too.
      const since =
        `${Math.floor(lastNano / 1e9)}.${String(lastNano % 1e9).padStart(9, '0')}` as unknown as number
      const label = [`${installationLabel}=${installation}`]
      const filters = { type: ['container' as const], event: ['die' as const, 'oom' as const], label }
      const stream = await docker.getEvents({ since, filters, abortSignal: signal })
      for await (const event of events(stream as Readable)) {
        retryMs = firstRetryMs
        if (event.timeNano <= lastNano) continue
        lastNano = event.timeNano
        const { ID: id, Attributes: labels } = event.Actor
        if (event.Action === 'oom') {
          if (outOfMemory.size < maxRemembered) outOfMemory.add(id)
          continue
        }
        const exitCode = labels.exitCode === undefined ? null : Number(labels.exitCode)
        onDeath({ id, name: labels.name ?? '', labels, exitCode, oomKilled: outOfMemory.delete(id) })
      }
      if (!signal.aborted) onBreak(new Error('the engine ended its stream of events'))
    } catch (error) {
      if (!signal.aborted) onBreak(error)
    }
    await delay(retryMs * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => undefined)
    retryMs = Math.min(retryMs * 2, lastRetryMs)
  }
}

async function* events(chunks: AsyncIterable<Buffer>): AsyncGenerator<EngineEvent> {
  let rest = ''
  for await (const chunk of chunks) {
    rest += chunk.toString('utf8')
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > maxEventBytes) throw new Error('the engine sent an event without an end')
    for (const line of lines) if (line.trim()) yield JSON.parse(line) as EngineEvent
  }
}
