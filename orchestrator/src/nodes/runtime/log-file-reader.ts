/** Reads the lines of one rotated log file, each once, and goes on where it ended. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { codeOf } from './error-code.ts'
import type { LogLine } from './runtime.ts'

/** a longer line is cut in pieces, so that a reader's memory stays bounded */
const maxLineBytes = 64 * 1024
const timeField = /"(?:time|timestamp|ts)":\s*(?:"([^"]+)"|(\d{12,14}))/

/** The time that a JSON log line itself tells. */
export function timeOf(line: string): Date | undefined {
  const match = timeField.exec(line)
  if (!match) return undefined
  const at = match[1] ? new Date(match[1]) : new Date(Number(match[2]))
  return Number.isNaN(at.getTime()) ? undefined : at
}

export class LogFileReader {
  readonly #path: string
  readonly #stream: LogLine['stream']
  #offset = 0
  #started = false
  #partial = Buffer.alloc(0)
  /** a line without a time of its own (of a stack trace, say) belongs to the one before it */
  #at: Date | undefined

  constructor(path: string, stream: LogLine['stream']) {
    this.#path = path
    this.#stream = stream
  }

  /** The lines since the last call; `flush` also gives a last line that has no end yet. */
  async *read({ flush }: { flush: boolean }): AsyncGenerator<LogLine> {
    if (!this.#started) {
      this.#started = true
      yield* this.#range(`${this.#path}.2`, 0)
      yield* this.#range(`${this.#path}.1`, 0)
    } else if (((await statOf(this.#path))?.size ?? 0) < this.#offset) {
      yield* this.#range(`${this.#path}.1`, this.#offset)
      this.#offset = 0
    }
    this.#offset += yield* this.#range(this.#path, this.#offset)
    if (flush && this.#partial.length > 0) {
      yield this.#line(this.#partial)
      this.#partial = Buffer.alloc(0)
    }
  }

  async *#range(path: string, start: number): AsyncGenerator<LogLine, number> {
    const stats = await statOf(path)
    if (!stats || stats.size <= start) return 0
    this.#at ??= stats.mtime
    let read = 0
    for await (const chunk of createReadStream(path, { start, end: stats.size - 1 })) {
      read += chunk.length
      this.#partial = Buffer.concat([this.#partial, chunk])
      for (let end = this.#lineEnd(); end !== -1; end = this.#lineEnd()) {
        yield this.#line(this.#partial.subarray(0, end))
        this.#partial = this.#partial.subarray(this.#partial[end] === 0x0a ? end + 1 : end)
      }
    }
    return read
  }

  #lineEnd(): number {
    const end = this.#partial.indexOf(0x0a)
    if (end !== -1 && end <= maxLineBytes) return end
    return this.#partial.length > maxLineBytes ? maxLineBytes : end
  }

  #line(bytes: Buffer): LogLine {
    const text = bytes.toString('utf8')
    const at = timeOf(text) ?? this.#at ?? new Date()
    this.#at = at
    return { at, stream: this.#stream, text }
  }
}

async function statOf(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
