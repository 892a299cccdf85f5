/**
 * A container's log. The engine sends frames of a header (stream, length) and a text that its time precedes; a line
 * longer than 16 KiB comes in several. When a followed stream breaks off with the engine, it is opened again from the
 * last line's time. Across the engine's own rotation of the files, following can lose and repeat lines; the repeated
 * are dropped by their time.
 */
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type Docker from 'dockerode'
import { statusOf } from './engine.ts'
import type { LogLine, LogOptions } from './runtime.ts'

const maxTail = 10_000
const maxLineBytes = 64 * 1024
const maxFrameBytes = 1024 * 1024
const reopenAfterMs = 1_000
const everything = { stdout: true, stderr: true, timestamps: true } as const

/** Each line with the engine's own time, finer than a Date and ordered as text. */
interface StampedLine extends LogLine {
  stamp: string
}

export interface LogSource {
  /** for calls that answer at once */
  container: Docker.Container
  /** the same container, for a stream that may be silent for long */
  streamed: Docker.Container
  isRunning: () => Promise<boolean>
}

export async function* containerLogs(source: LogSource, options: LogOptions): AsyncGenerator<LogLine> {
  const { follow, signal } = options
  const { lines, wanted } = await history(source.container, options)
  let last = lines.at(-1)?.stamp ?? ''
  yield* lines.slice(Math.max(0, lines.length - wanted)).map(withoutStamp)

  while (follow && !signal?.aborted) {
    const since = secondsOf(last || options.since)
    const known = last
    let repeating = true
    let brokenOff = false
    try {
      const stream = await source.streamed.logs({ ...everything, since, follow })
      for await (const line of followedLines(stream as Readable, signal)) {
        // Only what was read before: later on, lines of the two streams may be a little out of order.
        repeating &&= line.stamp <= known
        if (repeating) continue
        if (line.stamp > last) last = line.stamp
        yield withoutStamp(line)
      }
    } catch (error) {
      if (statusOf(error) !== undefined) throw error
      brokenOff = true
    }
    // A stream that broke off may have left lines behind, also of a node that has ended since.
    if (signal?.aborted || (!brokenOff && !(await source.isRunning()))) return
    await delay(reopenAfterMs, undefined, { ref: false })
  }
}

/**
 * The lines until now, and how many of the last are wanted; when the caller goes on to follow, without a last one that
 * is not yet whole. The engine counts the pieces of a long line one by one, so more are asked for than are wanted.
 */
async function history(container: Docker.Container, { tail, since, follow }: LogOptions) {
  const wanted = Math.min(tail ?? maxTail, maxTail)
  const selection = { ...everything, tail: 2 * wanted + 16, since: secondsOf(since), follow: false as const }
  const log = await container.logs(selection)
  const lines: StampedLine[] = []
  for await (const line of logLines(log.length > 0 ? [log] : [], { unfinished: !follow })) lines.push(line)
  return { lines, wanted }
}

async function* followedLines(stream: Readable, signal?: AbortSignal): AsyncGenerator<StampedLine> {
  const close = () => stream.destroy()
  signal?.addEventListener('abort', close, { once: true })
  try {
    for await (const line of logLines(stream)) {
      if (signal?.aborted) return
      yield line
    }
  } catch (error) {
    if (!signal?.aborted) throw error
  } finally {
    signal?.removeEventListener('abort', close)
    close()
  }
}

/** The lines in a stream of frames. */
export async function* logLines(
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  { unfinished = true } = {},
): AsyncGenerator<StampedLine> {
  const partial = {
    stdout: undefined as StampedLine | undefined,
    stderr: undefined as StampedLine | undefined,
  }
  for await (const { stream, payload } of frames(chunks)) {
    const space = payload.indexOf(' ')
    const stamp = payload.slice(0, space)
    const line = partial[stream] ?? { at: new Date(stamp), stamp, stream, text: '' }
    line.text += payload.slice(space + 1)
    const ended = line.text.endsWith('\n')
    partial[stream] = ended || line.text.length > maxLineBytes ? undefined : line
    if (partial[stream]) continue
    if (ended) line.text = line.text.slice(0, -1)
    yield line
  }
  for (const line of [partial.stdout, partial.stderr]) if (line && unfinished) yield line
}

async function* frames(chunks: AsyncIterable<Buffer> | Iterable<Buffer>) {
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 8) {
      const length = rest.readUInt32BE(4)
      if (length > maxFrameBytes) throw new Error(`the engine sent a log frame of ${length} bytes`)
      if (rest.length < 8 + length) break
      const stream = rest[0] === 2 ? ('stderr' as const) : ('stdout' as const)
      yield { stream, payload: rest.toString('utf8', 8, 8 + length) }
      rest = rest.subarray(8 + length)
    }
  }
}

const withoutStamp = ({ at, stream, text }: StampedLine): LogLine => ({ at, stream, text })

/** As the engine takes a time: seconds and a fraction. */
function secondsOf(time: Date | string | undefined): string | undefined {
  if (time === undefined) return undefined
  const seconds = Math.floor(new Date(time).getTime() / 1000)
  const fraction =
    typeof time === 'string' ? /\.(\d+)/.exec(time)?.[1] : String(time.getTime() % 1000).padStart(3, '0')
  return `${seconds}.${fraction ?? '0'}`
}
