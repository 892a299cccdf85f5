/** A raw, unmodified Baileys client with its credentials in memory. */
import { EventEmitter } from 'node:events'
import makeWASocket, {
  type AuthenticationState,
  type BaileysEventMap,
  BufferJSON,
  type ConnectionState,
  initAuthCreds,
  proto,
  type SignalDataTypeMap,
  type WAMessage,
  type WASocket,
} from '@whiskeysockets/baileys'

const DEADLINE_MS = 20_000

// libsignal prints whole sessions, private keys included
console.info = console.warn = console.error = () => undefined

const silent = {
  level: 'silent',
  child: () => silent,
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Credentials and keys that outlive sockets. Values are stored as JSON, so that no reference is shared. */
function memoryAuth(): AuthenticationState {
  const store = new Map<string, string>()
  return {
    creds: initAuthCreds(),
    keys: {
      async get<T extends keyof SignalDataTypeMap>(type: T, ids: string[]) {
        const found: { [id: string]: SignalDataTypeMap[T] } = {}
        for (const id of ids) {
          const json = store.get(`${type}/${id}`)
          if (json === undefined) continue
          const value = JSON.parse(json, BufferJSON.reviver)
          found[id] =
            type === 'app-state-sync-key' ? proto.Message.AppStateSyncKeyData.fromObject(value) : value
        }
        return found
      },
      async set(data) {
        for (const [type, entries] of Object.entries(data)) {
          for (const [id, value] of Object.entries(entries ?? {})) {
            if (value) store.set(`${type}/${id}`, JSON.stringify(value, BufferJSON.replacer))
            else store.delete(`${type}/${id}`)
          }
        }
      },
    },
  }
}

export interface Status {
  id: string
  remoteJid: string
  status: number
}

export class Client {
  readonly auth = memoryAuth()
  readonly messages: WAMessage[] = []
  readonly statuses: Status[] = []
  readonly acks: { id: string; error: string | undefined }[] = []
  /** codes of closed connections, in order */
  readonly closes: number[] = []
  /** ids of message stanzas, as often as they came over a socket */
  readonly arrivals: string[] = []
  sock!: WASocket
  qr: string | undefined
  state: ConnectionState['connection'] = 'close'
  caughtUp = false
  /** codes after which it reconnects at once; after 515 every application must */
  readonly restartOn = new Set([515])
  /** more of the socket's config */
  readonly extra: Partial<Parameters<typeof makeWASocket>[0]>
  readonly #url: string
  readonly #changed = new EventEmitter().setMaxListeners(0)
  readonly #sent = new Map<string, proto.IMessage>()

  constructor(url: string, extra: Partial<Parameters<typeof makeWASocket>[0]> = {}) {
    this.#url = url
    this.extra = extra
  }

  connect(): this {
    this.caughtUp = false
    this.qr = undefined
    this.state = 'connecting'
    const sock = makeWASocket({
      auth: this.auth,
      logger: silent,
      waWebSocketUrl: this.#url,
      getMessage: async (key) => (key.id ? this.#sent.get(key.id) : undefined),
      ...this.extra,
    })
    this.sock = sock
    sock.ws.on('CB:ack,class:message', (node: { attrs: Record<string, string> }) => {
      this.acks.push({ id: node.attrs.id ?? '', error: node.attrs.error })
      this.#changed.emit('change')
    })
    sock.ws.on('CB:message', (node: { attrs: Record<string, string> }) =>
      this.arrivals.push(node.attrs.id ?? ''),
    )
    sock.ev.process((events) => this.#note(sock, events))
    return this
  }

  #note(sock: WASocket, events: Partial<BaileysEventMap>): void {
    const update = events['connection.update']
    if (update?.qr) this.qr = update.qr
    if (update?.receivedPendingNotifications) this.caughtUp = true
    if (update?.connection) this.state = update.connection
    if (update?.connection === 'close') {
      const error = update.lastDisconnect?.error as { output?: { statusCode: number } } | undefined
      const code = error?.output?.statusCode ?? 0
      this.closes.push(code)
      if (this.restartOn.has(code) && this.sock === sock) this.connect()
    }
    for (const message of events['messages.upsert']?.messages ?? []) {
      this.messages.push(message)
      if (message.key.fromMe && message.status)
        this.#status(message.key.id, message.key.remoteJid, message.status)
    }
    for (const { key, update } of events['messages.update'] ?? []) {
      if (update.status !== undefined && update.status !== null)
        this.#status(key.id, key.remoteJid, update.status)
    }
    this.#changed.emit('change')
  }

  #status(id: string | null | undefined, remoteJid: string | null | undefined, status: number): void {
    this.statuses.push({ id: id ?? '', remoteJid: remoteJid ?? '', status })
  }

  async sendText(to: string, text: string): Promise<string> {
    const sent = await this.sock.sendMessage(to, { text })
    const id = sent?.key.id
    if (!id || !sent?.message) throw new Error('nothing was sent')
    this.#sent.set(id, sent.message)
    return id
  }

  /** Text of every readable message received, in order. */
  texts(): string[] {
    return this.messages.flatMap(({ key, message }) => {
      const text = message?.conversation ?? message?.extendedTextMessage?.text
      return !key.fromMe && text ? [text] : []
    })
  }

  statusOf(id: string): number {
    return Math.max(-1, ...this.statuses.filter((each) => each.id === id).map((each) => each.status))
  }

  /** Resolves with the first truthy value of a condition that is asked again at every event. */
  async until<T>(what: string, condition: () => T | undefined | false | ''): Promise<T> {
    const signal = AbortSignal.timeout(DEADLINE_MS)
    return new Promise((resolve, reject) => {
      const done = () => {
        this.#changed.off('change', check)
        signal.removeEventListener('abort', expired)
      }
      const check = () => {
        const value = condition()
        if (!value) return
        done()
        resolve(value)
      }
      const expired = () => {
        done()
        reject(new Error(`in vain: ${what}`))
      }
      signal.addEventListener('abort', expired)
      this.#changed.on('change', check)
      check()
    })
  }

  open(): Promise<unknown> {
    return this.until('open', () => this.state === 'open' && this.caughtUp)
  }

  end(): void {
    this.restartOn.clear()
    void this.sock.end(undefined)
  }
}
