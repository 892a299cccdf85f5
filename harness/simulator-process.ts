/** The simulator as a process of its own, so that its work is not counted as ours, and its admin API as functions. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Arrival, Person } from '../simulator/src/people.ts'
import type { Simulator, SimulatorOptions } from '../simulator/src/simulator.ts'
import type { Addressing } from '../simulator/src/types.ts'

export interface SimulatorProcess {
  /** where a client on this machine connects; a container needs the host's name on its network instead */
  waUrl: string
  port: number
  rootKey: string
  pid: number
  admin: SimulatorAdmin
  stop(): Promise<void>
}

/** a contact as its making tells of it */
export type Contact = Person
export type { Arrival }
/** A message that a contact wrote; times are ms since the epoch, of the first ack or receipt of their kind. */
export type ContactSent = Result<'sent'>[number]

type Asked = Omit<Simulator, 'waUrl' | 'adminUrl' | 'rootKey' | 'close'>
type Body<M extends keyof Asked> = Parameters<Asked[M]>[0]
type Result<M extends keyof Asked> = Awaited<ReturnType<Asked[M]>>
/** the simulator's own method, over HTTP */
type Call<M extends keyof Asked> = (body: Body<M>) => Promise<Result<M>>

/** The admin API; every call throws with the simulator's own words when it refuses. */
export interface SimulatorAdmin {
  scanQr: Call<'scanQr'>
  enterPairingCode: Call<'enterPairingCode'>
  addContact: Call<'addContact'>
  contactSend: Call<'contactSend'>
  loseSessions(phone: string): Promise<unknown>
  phoneSend: Call<'phoneSend'>
  createGroup: Call<'createGroup'>
  received(phone: string): Promise<Result<'received'>>
  sent(phone: string): Promise<Result<'sent'>>
  unreadable(phone: string): Promise<Result<'unreadable'>>
  counters(): Promise<Result<'counters'>>
  unlink(jid: string): Promise<unknown>
  drop(jid: string, how?: Body<'drop'>['how']): Promise<unknown>
  closeWith(body: Body<'closeWith'>): Promise<unknown>
  refuseLogins(body: Body<'refuseLogins'>): Promise<unknown>
  setFaults(body: Body<'setFaults'>): Promise<unknown>
  setAddressing(mode: Addressing): Promise<unknown>
}

export function simulatorAdmin(adminUrl: string): SimulatorAdmin {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(adminUrl + path, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`simulator ${method} ${path}: ${response.status} ${text}`)
    return (text ? JSON.parse(text) : undefined) as T
  }
  return {
    scanQr: (body) => call('POST', '/phones/scan', body),
    enterPairingCode: (body) => call('POST', '/phones/enter-code', body),
    addContact: (body) => call('POST', '/contacts', body),
    contactSend: (body) => call('POST', '/contacts/send', body),
    loseSessions: (phone) => call('POST', '/contacts/lose-sessions', { phone }),
    phoneSend: (body) => call('POST', '/phones/send', body),
    createGroup: (body) => call('POST', '/groups', body),
    received: (phone) => call('GET', `/contacts/${phone}/received`),
    sent: (phone) => call('GET', `/contacts/${phone}/sent`),
    unreadable: (phone) => call('GET', `/contacts/${phone}/unreadable`),
    counters: () => call('GET', '/counters'),
    unlink: (jid) => call('POST', '/devices/unlink', { jid }),
    drop: (jid, how) => call('POST', '/devices/drop', { jid, how }),
    closeWith: (body) => call('POST', '/devices/close', body),
    refuseLogins: (body) => call('POST', '/devices/refuse', body),
    setFaults: (body) => call('PUT', '/faults', body),
    setAddressing: (mode) => call('PUT', '/addressing', { mode }),
  }
}

export type SimulatorProcessOptions = Omit<SimulatorOptions, 'historyOnFirstLogin'>

/** Starts it and waits for its first line. Throws with what it said when it ends before. */
export async function startSimulatorProcess(
  options: SimulatorProcessOptions = {},
): Promise<SimulatorProcess> {
  const { host = '127.0.0.1', port = 0, seed = 1, addressing = 'pn' } = options
  const cli = fileURLToPath(new URL('../simulator/src/cli.ts', import.meta.url))
  const args = ['--host', host, '--port', String(port), '--seed', String(seed), '--addressing', addressing]
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), cli, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const complaints: string[] = []
  child.stderr.on('data', (data) => complaints.push(String(data)))
  const line = await firstLine(child, () => complaints.join(''))
  const ready = JSON.parse(line) as { wa_url: string; admin_url: string; root_key: string }
  return {
    waUrl: ready.wa_url,
    port: Number(new URL(ready.wa_url).port),
    rootKey: ready.root_key,
    pid: child.pid ?? 0,
    admin: simulatorAdmin(ready.admin_url),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

async function firstLine(child: ChildProcess, complaint: () => string): Promise<string> {
  if (!child.stdout) throw new Error('no stdout')
  const lines = createInterface(child.stdout)
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => String(text)),
    once(child, 'exit').then(([code]) => {
      throw new Error(`the simulator ended with ${code}: ${complaint()}`)
    }),
  ])
  // From here on its output is only drained.
  lines.on('line', () => undefined)
  return line
}
