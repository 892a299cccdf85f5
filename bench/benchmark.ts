/**
 * How every benchmark runs: driver after driver on a stack of its own, progress on stderr, one line of JSON last on
 * stdout; and whether it succeeds, fails or is interrupted, nothing of it is left running.
 */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { RuntimeChoice } from '../harness/engine.ts'
import { type Stack, startStack } from '../harness/stack.ts'
import { chosenRuntimes, readSizes } from './arguments.ts'

export interface Bench<T> {
  stack: Stack
  sizes: T
  say(line: string): void
  /** aborts when the run is interrupted */
  signal: AbortSignal
  /** registers what has to be ended with the stack, before it */
  onEnd(end: () => Promise<unknown> | unknown): void
}

/** Runs `measure` for each driver, and ends the process: 0 only if all of it was measured. */
export async function benchmark<T extends Record<string, number>>(
  name: string,
  defaults: T,
  measure: (bench: Bench<T>) => Promise<Record<string, unknown>>,
  env: Record<string, string> = {},
): Promise<never> {
  const say = (line: string) => console.error(`${name}: ${line}`)
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      say(`${signal}: cleaning up`)
      interruption.abort(new Error(`ended by ${signal}`))
    })
  }
  // What fails in a callback must still take the stack down with it.
  process.on('uncaughtException', (error) => interruption.abort(error))
  try {
    const { sizes, runtime } = readSizes(defaults)
    const runtimes: Record<string, unknown> = {}
    for (const kind of await chosenRuntimes(runtime)) {
      interruption.signal.throwIfAborted()
      runtimes[kind] = await onStack(kind, env, interruption.signal, (stack, onEnd) =>
        measure({
          ...{ stack, sizes, onEnd, signal: interruption.signal },
          say: (line) => say(`${kind}: ${line}`),
        }),
      )
    }
    const machine = { cores: availableParallelism(), node: process.version }
    console.log(JSON.stringify({ bench: name, ...machine, sizes, ...runtimes }))
    process.exit(0)
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
}

async function onStack<R>(
  runtime: RuntimeChoice,
  env: Record<string, string>,
  signal: AbortSignal,
  work: (stack: Stack, onEnd: Bench<never>['onEnd']) => Promise<R>,
): Promise<R> {
  const stack = await startStack({ runtime, env: { PALOMAR_LOG_LEVEL: 'warn', ...env } })
  const ends: (() => Promise<unknown> | unknown)[] = [() => stack.close()]
  try {
    const interrupted = new Promise<never>((_, reject) => {
      if (signal.aborted) reject(signal.reason)
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    return await Promise.race([work(stack, (end) => ends.push(end)), interrupted])
  } catch (error) {
    console.error(`the orchestrator's last lines:\n${(await readFile(stack.logFile, 'utf8')).slice(-4_000)}`)
    throw error
  } finally {
    for (const end of ends.reverse()) await end()
  }
}
