import type { BaileysEventMap, WASocket } from '@whiskeysockets/baileys'
import type { ConnectionState, NodeEventInput, PairingCodeResult, QrResult } from '../../contract/index.ts'
import type { CommitLog } from '../commits/commit-log.ts'
import { NodeError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { type Ending, reactTo } from './closing.ts'
import type { Credentials } from './credentials.ts'
import { Pairing } from './pairing.ts'
import type { Line } from './sender.ts'
import { unlink } from './unlink.ts'

type StateReport = Extract<NodeEventInput, { type: 'state' }>

export interface ConnectionOptions {
  credentials: Credentials
  makeSocket: () => WASocket
  log: CommitLog
  /** a new socket, before anything has come in on it */
  onSocket: (socket: WASocket) => void
  onActive: (socket: WASocket) => void
  /** the identity is gone: whatever belongs to it has to go */
  onForget: () => void
  logger: Logger
}

/** a login that hangs after the handshake is given up */
const OPEN_MS = 60_000
/** a connection that lasted this long was a good one: the next loss starts from the shortest delay */
const GOOD_MS = 5_000
const MAX_SILENCES = 2

/** Too much waits to be written; or keys that we need are not to be had: what comes would only pile up here. */
export type Hold = 'commits_pending' | 'keys_pending'

/** Keeps one account connected: one socket at a time, made again by the table of `closing.ts`. */
export class Connection {
  readonly #options: ConnectionOptions
  readonly pairing = new Pairing()
  #state: ConnectionState = 'connecting'
  #line: (Line & { hangUp: () => void }) | undefined
  #activeSince: number | undefined
  #wasActive = false
  #attempt = 0
  #replacedAt: number[] = []
  #retry: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined
  /** why we end the socket ourselves; undefined: the other side did */
  #leaving: string | undefined
  /** why we stay away from WhatsApp, so that it keeps for us what comes */
  readonly #holds = new Set<Hold>()
  #stopped = false
  #silences = 0
  lastTrafficAt: Date | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    options.log.onPressure = (overloaded) => this.hold('commits_pending', overloaded)
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** the open line, if there is one that messages can leave on */
  get line(): Line | undefined {
    return this.#state === 'active' ? this.#line : undefined
  }

  start(): void {
    this.#report({ state: 'connecting' })
    this.#open()
  }

  /** for good; frames that wait for their commit are dropped, and what they would have receipted comes again */
  stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#retry)
    this.pairing.end()
    return this.#leave('stopping')
  }

  async qr(waitMs: number): Promise<QrResult> {
    this.#ensurePairing()
    return this.pairing.wait(waitMs)
  }

  async pairingCode(phone: string): Promise<PairingCodeResult> {
    this.#ensurePairing()
    // the server has to greet us before it takes a code
    await this.pairing.wait(30_000)
    if (!this.#line) throw new NodeError('pairing_unavailable')
    const code = await this.#line.socket.requestPairingCode(phone)
    return { code, expires_at: this.pairing.endsAt.toISOString() }
  }

  /** unlinks this device and forgets the identity */
  async logout(): Promise<void> {
    const { credentials } = this.#options
    clearTimeout(this.#retry)
    if (!credentials.paired) {
      this.pairing.end()
      await this.#leave('requested')
      this.#report({ state: 'closed', reason: 'requested' })
      return
    }
    // the server may close before it answers: that is no loss of the connection either
    this.#leaving = 'requested'
    const told = this.line !== undefined && (await unlink(this.line, this.#options.logger))
    await this.#leave('requested')
    this.#forget({ state: 'logged_out', reason: told ? 'requested' : 'requested_while_not_connected' })
  }

  /** a message got no ack in time; several in a row mean a connection that only seems to be one */
  silent(): void {
    this.#silences += 1
    if (this.#silences < MAX_SILENCES || this.#state !== 'active') return
    this.#options.logger.warn('connected but deaf, connecting again', { silences: this.#silences })
    void this.#leave('deaf')
  }

  heard(): void {
    this.#silences = 0
  }

  #ensurePairing(): void {
    if (this.#options.credentials.paired) throw new NodeError('already_paired')
    if (this.#line || this.#retry) return
    this.#attempt = 0
    this.pairing.restart()
    this.start()
  }

  #open(): void {
    if (this.#stopped || this.#holds.size > 0 || this.#line) return
    const socket = this.#options.makeSocket()
    let hangUp: () => void = () => undefined
    const closed = new Promise<void>((resolve) => {
      hangUp = resolve
    })
    this.#line = { socket, closed, hangUp }
    this.#leaving = undefined
    this.#silences = 0
    this.#deadline = setTimeout(() => void this.#leave('login_timed_out'), OPEN_MS)
    socket.ws.on('frame', () => {
      this.lastTrafficAt = new Date()
    })
    socket.ev.on('creds.update', () => this.#storeCredentials())
    socket.ev.on('connection.update', (update) => this.#update(socket, update))
    this.#options.onSocket(socket)
  }

  #storeCredentials(): void {
    const { credentials, log } = this.#options
    // half-made ones, of a pairing that has only begun, are worth nothing to another process
    if (credentials.paired) log.append({ creds: credentials.serialise() })
  }

  #update(socket: WASocket, update: Partial<BaileysEventMap['connection.update']>): void {
    if (socket !== this.#line?.socket) return
    if (update.qr) {
      clearTimeout(this.#deadline)
      const qr = this.pairing.offer(update.qr)
      this.#report({ state: 'waiting_qr' })
      this.#options.log.append({ events: [{ type: 'qr', ...qr }] })
    }
    if (update.isNewLogin) this.#report({ state: 'connecting', reason: 'paired' })
    if (update.connection === 'open') this.#opened(socket)
    if (update.connection === 'close') this.#closed(update.lastDisconnect?.error)
  }

  #opened(socket: WASocket): void {
    clearTimeout(this.#deadline)
    this.#activeSince = Date.now()
    this.#wasActive = true
    this.#report({ state: 'active' })
    this.#options.onActive(socket)
  }

  #closed(error: unknown): void {
    const { credentials, logger } = this.#options
    clearTimeout(this.#deadline)
    this.#hangUp()
    const leaving = this.#leaving
    const good = this.#activeSince !== undefined && Date.now() - this.#activeSince >= GOOD_MS
    this.#attempt = good ? 0 : this.#attempt
    this.#activeSince = undefined
    if (!credentials.paired) credentials.renew()
    if (this.#stopped || leaving === 'requested') return
    const [hold] = this.#holds
    if (hold) {
      this.#report({ state: 'reconnecting', reason: hold })
      return
    }
    const ending = leaving ? { code: 408, message: leaving } : endingOf(error)
    if (ending.code === 440) this.#replacedAt = [...this.#replacedAt.slice(-9), Date.now()]
    const reaction = reactTo(ending, {
      attempt: this.#attempt,
      replacedAt: this.#replacedAt,
      now: Date.now(),
    })
    this.#attempt += 1
    const code = ending.code
    logger.info('connection ended', {
      code,
      reason: reaction.reason,
      reaction: reaction.do,
      detail: ending.message,
    })
    if (reaction.do === 'stop') {
      this.pairing.end()
      const report = { state: reaction.state, code, reason: reaction.reason }
      if (reaction.forget) this.#forget(report)
      else this.#report(report)
    } else this.#again(reaction.delayMs, code, leaving ?? reaction.reason)
  }

  #hangUp(): void {
    if (!this.#line) return
    const { socket, hangUp } = this.#line
    this.#line = undefined
    // Baileys takes away what would tell its running queries of the end: they would hold the keys' lock for 30 s
    socket.ws.emit('error', new Error('Connection Closed'))
    hangUp()
  }

  #again(delayMs: number, code: number | undefined, reason: string): void {
    const { credentials, log } = this.#options
    if (!credentials.paired && Date.now() > this.pairing.endsAt.getTime()) {
      this.pairing.end()
      this.#report({ state: 'closed', code, reason: 'qr_expired' })
      return
    }
    this.#report({
      state: this.#wasActive && credentials.paired ? 'reconnecting' : 'connecting',
      code,
      reason,
      ...(delayMs > 0 ? { retry_at: new Date(Date.now() + delayMs).toISOString() } : {}),
    })
    this.#retry = setTimeout(() => {
      // a node that has been replaced learns it here, before it takes the connection from its successor
      void log.durable(log.barrier).then(() => {
        this.#retry = undefined
        this.#open()
      })
    }, delayMs)
  }

  #forget(report: Omit<StateReport, 'type'>): void {
    const { credentials, log, onForget } = this.#options
    credentials.renew()
    onForget()
    this.#wasActive = false
    this.#state = report.state
    // the orchestrator puts the old identity away: nothing of a new one may share that commit
    log.append({ events: [{ type: 'state', ...report }] }, { seals: true })
  }

  /** Leaves WhatsApp while there is a reason to, and comes back when there is none. */
  hold(reason: Hold, on: boolean): void {
    if (on) {
      this.#holds.add(reason)
      clearTimeout(this.#retry)
      this.#retry = undefined
      void this.#leave(reason)
      return
    }
    if (!this.#holds.delete(reason) || this.#holds.size > 0) return
    if (this.#state === 'reconnecting' || this.#state === 'connecting') this.#open()
  }

  async #leave(reason: string): Promise<void> {
    const line = this.#line
    if (!line) return
    this.#leaving = reason
    await line.socket.end(undefined)
    await line.closed
  }

  #report(report: Omit<StateReport, 'type'>): void {
    const { credentials, log } = this.#options
    if (report.state === this.#state && report.state === 'waiting_qr') return
    this.#state = report.state
    const me = credentials.me
    log.append({ events: [{ type: 'state', ...report, ...(me ? { me } : {}) }] })
  }
}

const endingOf = (error: unknown): Ending => {
  if (!(error instanceof Error)) return { code: undefined, message: 'unknown' }
  const { output, data } = error as Error & { output?: { statusCode?: number }; data?: unknown }
  return {
    code: output?.statusCode,
    message: error.message,
    data: typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : undefined,
  }
}
