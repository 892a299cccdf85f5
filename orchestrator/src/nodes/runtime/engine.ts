/** The way to a container engine: where it is, how long it may take, and what its refusals mean. */
import Docker from 'dockerode'
import { RuntimeError } from './runtime.ts'

export interface EngineOptions {
  /** unix:///path or tcp://host:port; by default DOCKER_HOST, or else the platform's usual socket */
  dockerHost?: string
  /** a call without an answer in this time has failed; streams may be silent for longer */
  timeoutMs?: number
}

const answerTimeoutMs = 10_000

/** A client whose calls each end within the time-out. */
export function connectEngine({ dockerHost, timeoutMs = answerTimeoutMs }: EngineOptions = {}): Docker {
  return new Docker({ ...locationOf(dockerHost), timeout: timeoutMs })
}

/** A client for streams: they must begin in time, and may then stay silent. */
export function connectEngineStreams({ dockerHost, timeoutMs = answerTimeoutMs }: EngineOptions = {}) {
  // A variable, because the library's types do not know this option of its own.
  const options = { ...locationOf(dockerHost), connectionTimeout: timeoutMs }
  return new Docker(options)
}

/** Whether an engine answers; never throws. */
export async function detectEngine(options: EngineOptions = {}): Promise<boolean> {
  try {
    await connectEngine({ timeoutMs: 3_000, ...options }).ping()
    return true
  } catch {
    return false
  }
}

/** The engine's HTTP status; undefined when it did not answer at all. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined
  return typeof error.statusCode === 'number' ? error.statusCode : undefined
}

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message.trim() : String(error)

/** The failure of a call, as the contract tells it: no answer means `engine_unavailable`. */
export function asRuntimeError(error: unknown, code: RuntimeError['code'], what: string): RuntimeError {
  if (error instanceof RuntimeError) return error
  const answered = statusOf(error) !== undefined
  const message = answered ? messageOf(error) : `the container engine does not answer (${messageOf(error)})`
  return new RuntimeError(answered ? code : 'engine_unavailable', `${what}: ${message}`, { cause: error })
}

/** Waits for a call whose object may be missing: then, undefined. */
export async function unlessMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

function locationOf(dockerHost: string | undefined): Docker.DockerOptions {
  if (dockerHost === undefined) return {}
  if (dockerHost.startsWith('unix://'))
    return { host: undefined, socketPath: dockerHost.slice('unix://'.length) }
  const { hostname, port } = new URL(dockerHost)
  return { host: hostname, port, protocol: 'http' }
}
