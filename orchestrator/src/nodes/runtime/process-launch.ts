/** Starts one node as a detached process and waits until it has told its port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { endOfLog, logPath } from './log-files.ts'
import { nodeFlags, nodeTuning } from './node-flags.ts'
import { lowerPriority } from './node-priority.ts'
import { identityOf } from './process-identity.ts'
import { type ProcessState, writeState } from './process-state.ts'
import { type NodeSpec, RuntimeError } from './runtime.ts'

interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface Launched {
  state: ProcessState
  exited: Promise<Exit>
  /** the child does not keep this process alive; whoever waits for its exit must say so */
  hold(): void
}

/** Leaves nothing behind when it throws. */
export async function launch(
  spec: NodeSpec,
  folder: string,
  bundle: string,
  timeoutMs: number,
): Promise<Launched> {
  const child = spawnNode(spec, folder, bundle)
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  try {
    const port = portOf(child, timeoutMs)
    // Awaited below; until then a failure must not count as unhandled.
    port.catch(() => undefined)
    const identity = child.pid === undefined ? undefined : await identityOf(child.pid)
    const { name, labels } = spec
    const startedAt = new Date().toISOString()
    const state = { name, labels, pid: child.pid ?? 0, identity: identity ?? '', startedAt, port: null }
    writeState(folder, state)
    const lowered = child.pid === undefined ? undefined : lowerPriority(child.pid)
    const [toldPort] = await Promise.all([port, lowered])
    const told = { ...state, port: toldPort }
    writeState(folder, told)
    await release(child)
    child.unref()
    return { state: told, exited, hold: () => child.ref() }
  } catch (error) {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, 'SIGKILL')
      await exited
    }
    const lastWords = (await endOfLog(folder, 'stderr', 2_000)).trim()
    await rm(folder, { recursive: true, force: true })
    if (!(error instanceof RuntimeError)) throw error
    throw new RuntimeError(error.code, `${spec.name}: ${error.message}${lastWords && `: ${lastWords}`}`, {
      cause: error.cause,
    })
  }
}

/** Tells the node that its port is written down: from now on it can be found without us. */
async function release(child: ChildProcess): Promise<void> {
  if (!child.connected) return
  // A node that ends meanwhile takes the channel with it; its exit is told elsewhere.
  await new Promise((resolve) => child.send({ known: true }, resolve))
  if (child.connected) child.disconnect()
}

/** The node gets no more of the environment than it is meant to have: the orchestrator's holds secrets. */
function spawnNode(spec: NodeSpec, folder: string, bundle: string): ChildProcess {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const out = openSync(logPath(folder, 'stdout'), 'a', 0o600)
  const err = openSync(logPath(folder, 'stderr'), 'a', 0o600)
  try {
    return spawn(process.execPath, [...nodeFlags, bundle], {
      cwd: folder,
      detached: true,
      env: { PATH: process.env.PATH, ...nodeTuning, ...spec.env, HOST: '127.0.0.1', PORT: '0' },
      stdio: ['ignore', out, err, 'ipc'],
    })
  } finally {
    closeSync(out)
    closeSync(err)
  }
}

function portOf(child: ChildProcess, timeoutMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (code: RuntimeError['code'], message: string, cause?: unknown) => {
      clearTimeout(timer)
      reject(new RuntimeError(code, message, { cause }))
    }
    const timer = setTimeout(
      () => fail('start_timeout', `told no port within ${timeoutMs} ms and was killed`),
      timeoutMs,
    )
    child.on('error', (error) => fail('start_failed', 'could not be started', error))
    child.once('exit', (code, signal) =>
      fail('start_failed', `ended with ${signal ?? `exit code ${code}`} before it told its port`),
    )
    child.on('message', (message: unknown) => {
      const port = typeof message === 'object' && message !== null && 'port' in message && message.port
      if (typeof port !== 'number') return
      clearTimeout(timer)
      resolve(port)
    })
  })
}
