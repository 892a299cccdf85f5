import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import { adminApp } from './admin/http.ts'
import { stanza } from './codec/stanza.ts'
import { AppState } from './connection/app-state.ts'
import { serveConnection } from './connection/connection.ts'
import type { EndingStyle } from './connection/endings.ts'
import type { Server } from './connection/server.ts'
import type { Drop, Session } from './connection/session.ts'
import { Counters } from './counters.ts'
import { Directory } from './directory/directory.ts'
import type { LinkedDevice } from './directory/linked-device.ts'
import { PreKeys } from './directory/prekeys.ts'
import { Faults } from './faults/faults.ts'
import type { FaultSettings } from './faults/plan.ts'
import { seededRandom } from './faults/random.ts'
import { GroupRequests } from './groups/requests.ts'
import { deviceJid, personJid } from './jid.ts'
import { newServerIdentity } from './noise/certificate.ts'
import { type Arrival, People, type Person, type Unreadable } from './people.ts'
import { Lobby } from './phone/lobby.ts'
import { readQr } from './phone/qr.ts'
import { Refusal } from './refusal.ts'
import { type Report, report } from './report.ts'
import { Router } from './router/router.ts'
import type { Account, Addressing } from './types.ts'
import type { Behaviour } from './virtual/contact.ts'
import type { Sent } from './virtual/journal.ts'

export interface SimulatorOptions {
  /** 0 takes a free one */
  port?: number
  host?: string
  /** makes LIDs and faults repeatable */
  seed?: number
  addressing?: Addressing
  /** without its phone's first message a new client waits 20 s before it is quite ready */
  historyOnFirstLogin?: boolean
}

export interface Linked {
  jid: string
  lid: string
  phone: string
}

/**
 * A WhatsApp server in this process. A `jid` is a device's, or a person's, bare or as digits: then it means all
 * of the person's linked devices. What cannot be done is thrown as a Refusal, with the status that HTTP gives it.
 */
export interface Simulator {
  /** where clients connect: `ws://host:port/ws/chat` */
  readonly waUrl: string
  readonly adminUrl: string
  /** raw 32-byte root certificate key, base64 */
  readonly rootKey: string
  /** A phone reads a QR's text and links its client. A `phone` that is unknown is made. */
  scanQr(request: { qr: string; phone?: string; name?: string }): Promise<Linked>
  /** A phone's user types a code (8 characters, dashes and blanks aside); waits 10 s for a client that asked for one. 403 on a wrong code. */
  enterPairingCode(request: { phone: string; code: string; name?: string }): Promise<Linked>
  /** The phone removes linked devices: 401, live or at their next login. */
  unlink(request: { jid: string }): void
  /** Breaks connections as networks do; a reset unless told how. */
  drop(request: { jid: string; how?: Drop }): void
  /** Ends connections with a WhatsApp code; `expire` in seconds goes with 402. */
  closeWith(request: { jid: string; code: number; expire?: number; how?: EndingStyle }): void
  /** Turns the next `times` logins away with a failure. */
  refuseLogins(request: { jid: string; code: number; times: number; expire?: number }): void
  setAddressing(mode: Addressing): void
  /** Replaces all faults; `{}` ends them. */
  setFaults(settings: FaultSettings): void
  counters(): Report
  addContact(request: { phone?: string; name?: string; behaviour?: Partial<Behaviour> }): Person
  /** Resolves when all have left; `{n}` in the text becomes the message's number, from 1. */
  contactSend(request: {
    phone: string
    to: string
    text: string
    count?: number
    rate_per_second?: number
  }): Promise<{ ids: string[] }>
  /** The owner of a linked account writes on the phone: linked devices get it as an own message. Else as `contactSend`. */
  phoneSend(request: { phone: string; to: string; text: string; count?: number }): Promise<{ ids: string[] }>
  /** A contact's phone loses its sessions: it asks again for what it then cannot read. */
  loseSessions(request: { phone: string }): Promise<void>
  /** A group of contacts and linked accounts, by phone number, whose owner has just made it on the phone. 404 for an unknown number. */
  createGroup(request: { owner: string; members: string[]; subject?: string }): { jid: string }
  received(request: { phone: string }): Arrival[]
  /** `dropped`: a fault kept a copy of it from leaving, so that it may have come after later ones. */
  sent(request: { phone: string }): (Sent & { dropped: boolean })[]
  /** Messages that the contact could not read, and has not been able to since. */
  unreadable(request: { phone: string }): Unreadable[]
  close(): Promise<void>
}

const CHAT_PATH = '/ws/chat'

/** Starts a server; resolves once it listens. Rejects when the port is taken. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { port = 0, host = '127.0.0.1', seed = 1, addressing = 'pn', historyOnFirstLogin = true } = options
  const counters = new Counters()
  const random = seededRandom(seed)
  const directory = new Directory(random)
  const router = new Router(directory, counters, addressing, random)
  const preKeys = new PreKeys(counters, (device, left) =>
    router.notify(device, 'encrypt', [stanza('count', { value: String(left) })]),
  )
  const people = new People(
    {
      submit: router.submit,
      devicesOf: (jid) => directory.devicesOf(jid),
      takeBundle: (device) => preKeys.take(device),
      addressing: () => router.addressing,
      membersOf(jid) {
        const group = router.groups.find(jid)
        return group && Array.from(group.members.keys(), (account) => personJid(account, group.addressing))
      },
    },
    seed,
  )
  const lobby = new Lobby()
  const faults = new Faults(seed)
  const identity = newServerIdentity()
  const server: Server = {
    identity,
    counters,
    directory,
    preKeys,
    router,
    lobby,
    faults,
    appState: new AppState(router),
    groups: new GroupRequests(router.groups, directory, () => router.addressing),
    sessions: new Map(),
    refusals: new Map(),
    unlink,
    onFirstLogin({ account, id }) {
      if (historyOnFirstLogin) people.welcome(account, id).catch(console.error)
    },
  }

  function unlink(device: LinkedDevice): void {
    device.account.devices.delete(device.id)
    server.sessions.get(device)?.end(401, 'stream_error')
    router.forget(device)
    router.announceDevice(device, 'remove')
  }

  function owner(phone: string | undefined, name: string | undefined): Account {
    const account = directory.account(phone, name)
    people.phone(account)
    return account
  }

  function linked(device: LinkedDevice): Linked {
    counters.pairings++
    router.announceDevice(device, 'add')
    return { jid: deviceJid(device, 'pn'), lid: deviceJid(device, 'lid'), phone: device.account.pn }
  }

  function known(phone: string): Account {
    const account = directory.byPhone(phone)
    if (!account) throw new Refusal(404, `nobody has the number ${phone}`)
    return account
  }

  /** What WhatsApp answers a phone with, which virtual devices do not listen to. */
  function checkMembership(phone: string, to: string): void {
    if (!to.endsWith('@g.us')) return
    const group = router.groups.find(to)
    if (!group) throw new Refusal(404, `no such group: ${to}`)
    if (!group.members.has(known(phone))) throw new Refusal(403, `${phone} is not in ${to}`)
  }

  function live(jid: string): Session[] {
    const found = directory.linkedBy(jid).flatMap((device) => server.sessions.get(device) ?? [])
    if (found.length === 0) throw new Refusal(409, `not connected: ${jid}`)
    return found
  }

  const http = createServer()
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  http.on('upgrade', (request, tcp, head) => {
    if (!request.url?.startsWith(CHAT_PATH)) {
      tcp.destroy()
      return
    }
    sockets.handleUpgrade(request, tcp, head, (ws) => serveConnection(server, ws, tcp as Socket))
  })
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, host, resolve)
  })
  const address = `${host}:${(http.address() as AddressInfo).port}`

  const simulator: Simulator = {
    waUrl: `ws://${address}${CHAT_PATH}`,
    adminUrl: `http://${address}/admin`,
    rootKey: identity.rootKey.toString('base64'),
    async scanQr({ qr, phone, name }) {
      const scanned = readQr(qr)
      const pairing = lobby.byRef(scanned.ref)
      const account = owner(phone, name)
      return linked(await pairing.scan(scanned, account, directory.reserveDeviceId(account)))
    },
    async enterPairingCode({ phone, code, name }) {
      const pairing = await lobby.byPhone(phone)
      const account = owner(phone, name)
      return linked(
        await pairing.enterCode(code.replace(/[-\s]/g, ''), account, () =>
          directory.reserveDeviceId(account),
        ),
      )
    },
    unlink({ jid }) {
      for (const device of directory.linkedBy(jid)) unlink(device)
    },
    drop({ jid, how = 'tcp_reset' }) {
      for (const session of live(jid)) session.drop(how)
    },
    closeWith({ jid, code, expire, how }) {
      for (const session of live(jid)) session.end(code, how, expire)
    },
    refuseLogins({ jid, ...refusal }) {
      for (const device of directory.linkedBy(jid)) server.refusals.set(device, { ...refusal })
    },
    setAddressing(mode) {
      router.addressing = mode
    },
    setFaults: (settings) => faults.set(settings),
    counters: () => report(counters, directory, router),
    addContact: ({ phone, name, behaviour }) => people.contact(directory.account(phone, name), behaviour),
    async contactSend({ phone, to, text, count, rate_per_second }) {
      checkMembership(phone, to)
      const sending = { to, text, count, ratePerSecond: rate_per_second }
      return { ids: await people.send(directory.byPhone(phone), sending) }
    },
    async phoneSend({ phone, to, text, count }) {
      checkMembership(phone, to)
      return { ids: await people.sendFromPhone(directory.byPhone(phone), { to, text, count }) }
    },
    loseSessions: ({ phone }) => people.loseSessions(directory.byPhone(phone)),
    createGroup({ owner, members, subject = '' }) {
      const accounts = members.map(known)
      const creator = known(owner)
      const group = router.groups.create(subject, creator, accounts, router.addressing)
      const phone = creator.devices.get(0)
      if (phone) router.groups.announce(group, phone, router.groups.change(group, 'create', accounts))
      return { jid: group.jid }
    },
    received: ({ phone }) => people.received(directory.byPhone(phone)),
    sent({ phone }) {
      const sent = people.sent(directory.byPhone(phone))
      return sent.map((each) => ({ ...each, dropped: faults.hasDropped(each.id) }))
    },
    unreadable: ({ phone }) => people.unreadable(directory.byPhone(phone)),
    async close() {
      people.close()
      for (const ws of sockets.clients) ws.terminate()
      http.closeAllConnections()
      await new Promise<void>((resolve) => http.close(() => resolve()))
    },
  }
  http.on('request', adminApp(simulator))
  return simulator
}
