/** The orchestrator as it ships, the built bundle in a process of its own, to be started, killed and started again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

export interface OrchestratorProcess {
  readonly url: string
  readonly pid: number
  /** false once it has ended, whoever ended it */
  readonly running: boolean
  /** SIGKILL: nothing is drained */
  kill(): Promise<void>
  /** SIGTERM, and waits for the drain */
  stop(): Promise<number | null>
  /** starts it again with the same environment and ports */
  start(): Promise<void>
  /** SIGSTOP and SIGCONT */
  pause(): void
  resume(): void
}

const bundle = fileURLToPath(new URL('../orchestrator/dist/main.mjs', import.meta.url))

/** A port that was free a moment ago. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer()
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (!address || typeof address === 'string') throw new Error('no port')
  return address.port
}

export interface OrchestratorProcessOptions {
  env: Record<string, string>
  /** file that takes its output */
  logFile: string
  startTimeoutMs?: number
}

/** Starts it and waits until /health answers 200. Throws with its last lines when it ends before. */
export async function startOrchestratorProcess(
  options: OrchestratorProcessOptions,
): Promise<OrchestratorProcess> {
  if (!existsSync(bundle)) throw new Error('orchestrator/dist/main.mjs is missing: npm run build')
  const port = Number(options.env.PALOMAR_HTTP_PORT)
  const url = `http://127.0.0.1:${port}`
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const started = spawn(process.execPath, [bundle], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env } as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = started
    const log = createWriteStream(options.logFile, { flags: 'a' })
    const tail: string[] = []
    for (const stream of [started.stdout, started.stderr]) {
      stream.on('data', (data) => {
        log.write(data)
        tail.push(String(data))
        if (tail.length > 20) tail.shift()
      })
    }
    const deadline = Date.now() + (options.startTimeoutMs ?? 60_000)
    for (;;) {
      if (started.exitCode !== null)
        throw new Error(`the orchestrator ended with ${started.exitCode}:\n${tail.join('')}`)
      const healthy = await fetch(`${url}/health`).then(
        (r) => r.ok,
        () => false,
      )
      if (healthy) return
      if (Date.now() > deadline) throw new Error(`the orchestrator is not healthy in time:\n${tail.join('')}`)
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const running = child
    if (!running || running.exitCode !== null || running.signalCode !== null) return running?.exitCode ?? null
    const exit = once(running, 'exit')
    running.kill(signal)
    await exit
    return running.exitCode
  }

  await start()
  return {
    url,
    get pid() {
      return child?.pid ?? 0
    },
    get running() {
      return child !== undefined && child.exitCode === null && child.signalCode === null
    },
    start,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
  }
}
