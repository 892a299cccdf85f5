/** The built node as a child process, as a runtime would start it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { buildNode } from '../build.ts'
import {
  type HealthResult,
  healthResult,
  type PairingCodeResult,
  type Problem,
  pairingCodeResult,
  type QrResult,
  qrResult,
  type SendCommandInput,
  type SendResult,
  type SessionResult,
  sendResult,
  sessionResult,
} from '../contract/index.ts'
import { SESSION, TOKEN } from './orchestrator-stand-in.ts'

export class ProblemError extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail}`)
    this.problem = problem
  }
}

let bundle: Promise<string> | undefined

/** built once a test file, from the sources as they are now */
const nodeBundle = (): Promise<string> => {
  bundle ??= mkdtemp(join(tmpdir(), 'palomar-node-')).then((directory) =>
    buildNode('simulator', join(directory, 'node.mjs')),
  )
  return bundle
}

export interface NodeProcessOptions {
  orchestratorUrl: string
  simulatorUrl: string
  rootKey: string
  logLevel?: 'error' | 'warn' | 'info' | 'debug'
  /** the parent ends just when it is told the port */
  abandon?: boolean
}

export class NodeProcess {
  readonly #child: ChildProcess
  readonly #port: number
  readonly exited: Promise<number | null>
  readonly logs: Record<string, unknown>[]

  private constructor(child: ChildProcess, port: number, logs: Record<string, unknown>[]) {
    this.#child = child
    this.#port = port
    this.logs = logs
    this.exited =
      child.exitCode === null ? once(child, 'exit').then(([code]) => code) : Promise.resolve(child.exitCode)
  }

  static async start(options: NodeProcessOptions): Promise<NodeProcess> {
    const child = fork(await nodeBundle(), [], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      execArgv: ['--max-semi-space-size=1', '--optimize-for-size'],
      env: {
        PATH: process.env.PATH ?? '',
        MALLOC_ARENA_MAX: '1',
        UV_THREADPOOL_SIZE: '1',
        PALOMAR_SESSION_ID: SESSION,
        PALOMAR_NODE_ID: 'node-under-test',
        PALOMAR_NODE_TOKEN: TOKEN,
        PALOMAR_ORCHESTRATOR_URL: options.orchestratorUrl,
        PALOMAR_SIMULATOR_URL: options.simulatorUrl,
        PALOMAR_SIMULATOR_ROOT_KEY: options.rootKey,
        PALOMAR_LOG_LEVEL: options.logLevel ?? 'info',
        HOST: '127.0.0.1',
        PORT: '0',
      },
    })
    const logs: Record<string, unknown>[] = []
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (process.env.SHOW_NODE_LOGS) process.stderr.write(`${line}\n`)
        logs.push(JSON.parse(line))
      })
    }
    const exit = once(child, 'exit').then(([code]) => {
      throw new Error(`The node ended with ${code}: ${JSON.stringify(logs.at(-1))}`)
    })
    const [message] = await Promise.race([once(child, 'message'), exit])
    exit.catch(() => undefined)
    if (options.abandon) child.disconnect()
    else child.send({ known: true })
    return new NodeProcess(child, (message as { port: number }).port, logs)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    this.#child.kill(signal)
    return this.exited
  }

  async qr(waitMs = 10_000): Promise<QrResult> {
    return qrResult.parse(await this.request('GET', `/session/qr?wait_ms=${waitMs}`))
  }

  async pairingCode(phone: string): Promise<PairingCodeResult> {
    return pairingCodeResult.parse(await this.request('POST', '/session/pairing-code', { phone }))
  }

  async session(): Promise<SessionResult> {
    return sessionResult.parse(await this.request('GET', '/session'))
  }

  async health(): Promise<HealthResult> {
    return healthResult.parse(await this.request('GET', '/health'))
  }

  async send(command: SendCommandInput): Promise<SendResult> {
    return sendResult.parse(await this.request('POST', '/messages', command))
  }

  async logout(): Promise<void> {
    await this.request('DELETE', '/session')
  }

  /** throws a ProblemError for everything but success */
  async request(method: string, path: string, body?: unknown, token = TOKEN): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new ProblemError(JSON.parse(text))
    return text === '' ? undefined : JSON.parse(text)
  }
}
