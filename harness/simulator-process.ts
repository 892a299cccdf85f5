/** The simulator as a process of its own, so that its work is not counted as ours, and its admin API as functions. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface SimulatorProcess {
  /** where a client on this machine connects; a container needs the host's name on its network instead */
  waUrl: string
  port: number
  rootKey: string
  pid: number
  admin: SimulatorAdmin
  stop(): Promise<void>
}

export interface DeviceReport {
  jid: string
  lid: string
  connected: boolean
  connects: number
  disconnects: number
  offline_queue: number
  prekeys: number
}

export interface CountersReport {
  connections: number
  logins: number
  pairings: number
  violations: string[]
  retries: number
  repeats: number
  devices: DeviceReport[]
  [counter: string]: unknown
}

export interface Arrival {
  id: string
  from: string
  chat: string
  type: string
  text?: string
  at: number
  times: number
  /** how often the contact asked for it again before it could read it */
  asked: number
}

/** A message that a contact wrote; times are ms since the epoch, of the first ack or receipt of their kind. */
export interface ContactSent {
  id: string
  to: string
  at: number
  acked?: number
  delivered?: number
  read?: number
  /** resends that its reader asked for */
  resends: number
  /** a fault kept a copy of it from leaving, so that it may have come after later ones */
  dropped: boolean
}

export interface Contact {
  phone: string
  jid: string
  lid: string
}

export interface ContactBehaviour {
  receipts?: boolean
  reads?: boolean | number
  types?: boolean
  answers?: false | { text?: string; delayMs?: number }
}

/** The admin API; every call throws with the simulator's own words when it refuses. */
export interface SimulatorAdmin {
  scanQr(body: {
    qr: string
    phone?: string
    name?: string
  }): Promise<{ jid: string; lid: string; phone: string }>
  enterPairingCode(body: {
    phone: string
    code: string
    name?: string
  }): Promise<{ jid: string; lid: string }>
  addContact(body: { phone?: string; name?: string; behaviour?: ContactBehaviour }): Promise<Contact>
  contactSend(body: {
    phone: string
    to: string
    text: string
    count?: number
    rate_per_second?: number
  }): Promise<{ ids: string[] }>
  loseSessions(phone: string): Promise<unknown>
  phoneSend(body: { phone: string; to: string; text: string; count?: number }): Promise<{ ids: string[] }>
  createGroup(body: { owner: string; members: string[]; subject?: string }): Promise<{ jid: string }>
  received(phone: string): Promise<Arrival[]>
  sent(phone: string): Promise<ContactSent[]>
  unreadable(phone: string): Promise<{ id: string; reason: string }[]>
  counters(): Promise<CountersReport>
  unlink(jid: string): Promise<unknown>
  drop(jid: string, how?: 'tcp_reset' | 'close' | 'half_open' | 'mid_frame'): Promise<unknown>
  closeWith(body: {
    jid: string
    code: number
    expire?: number
    how?: 'stream_error' | 'failure'
  }): Promise<unknown>
  refuseLogins(body: { jid: string; code: number; times: number }): Promise<unknown>
  setFaults(body: Record<string, unknown>): Promise<unknown>
  setAddressing(mode: 'pn' | 'lid'): Promise<unknown>
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

export interface SimulatorProcessOptions {
  host?: string
  port?: number
  seed?: number
  addressing?: 'pn' | 'lid'
}

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
