/**
 * The log files of a node that runs as a process: `stdout.log` and `stderr.log`, each kept bounded by copying it to
 * `.1` (and `.1` to `.2`) and truncating it, because the node holds it open. Lines that the node writes between the
 * copy and the truncation are lost.
 */
import { copyFile, open, rename, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { codeOf } from './error-code.ts'
import { LogFileReader } from './log-file-reader.ts'
import type { LogLine, LogOptions } from './runtime.ts'

const streams = ['stdout', 'stderr'] as const
const followEveryMs = 200
/** nobody can read more at once, and the answer is held in memory */
const maxTail = 10_000

export const logPath = (folder: string, stream: LogLine['stream']) => join(folder, `${stream}.log`)

/** Rotates those of the node's files that have grown past the limit. */
export async function rotateLogs(folder: string, maxBytes: number): Promise<void> {
  for (const stream of streams) {
    const path = logPath(folder, stream)
    const size = await unlessMissing(stat(path).then((stats) => stats.size))
    if (size === undefined || size <= maxBytes) continue
    await unlessMissing(rename(`${path}.1`, `${path}.2`))
    await copyFile(path, `${path}.1`)
    await truncate(path, 0)
  }
}

/** The node's lines in order of time; with `follow`, until the signal aborts or `isAlive` says no. */
export async function* readLogs(
  folder: string,
  { tail, since, follow, signal }: LogOptions,
  isAlive: () => Promise<boolean>,
): AsyncGenerator<LogLine> {
  const readers = streams.map((stream) => new LogFileReader(logPath(folder, stream), stream))
  const wanted = (line: LogLine) => !since || line.at >= since
  let last = !follow || !(await isAlive())

  const history = mergeByTime(readers.map((reader) => reader.read({ flush: last })))
  if (tail === undefined) yield* keep(history, wanted)
  else {
    const kept: LogLine[] = []
    const most = Math.min(tail, maxTail)
    for await (const line of keep(history, wanted)) {
      kept.push(line)
      if (kept.length > 2 * most) kept.splice(0, kept.length - most)
    }
    yield* kept.slice(Math.max(0, kept.length - most))
  }

  while (!last && !signal?.aborted) {
    await abortableDelay(followEveryMs, signal)
    last = !(await isAlive())
    yield* keep(mergeByTime(readers.map((reader) => reader.read({ flush: last }))), wanted)
  }
}

/** The end of a log, as text. */
export async function endOfLog(folder: string, stream: LogLine['stream'], bytes: number): Promise<string> {
  const file = await unlessMissing(open(logPath(folder, stream)))
  if (!file) return ''
  try {
    const { size } = await file.stat()
    const start = Math.max(0, size - bytes)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

async function* keep(lines: AsyncIterable<LogLine>, wanted: (line: LogLine) => boolean) {
  for await (const line of lines) if (wanted(line)) yield line
}

async function* mergeByTime(sources: AsyncGenerator<LogLine>[]): AsyncGenerator<LogLine> {
  const heads = await Promise.all(sources.map(async (source) => ({ source, next: await source.next() })))
  for (;;) {
    let first: (typeof heads)[number] | undefined
    for (const head of heads)
      if (!head.next.done && (!first || first.next.done || head.next.value.at < first.next.value.at))
        first = head
    if (!first || first.next.done) return
    yield first.next.value
    first.next = await first.source.next()
  }
}

async function abortableDelay(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch((error: unknown) => {
    if (!signal?.aborted) throw error
  })
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
