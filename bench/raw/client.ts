/** Baileys as anyone would use it at its leanest: unmodified, credentials and keys as objects in memory, no log. */
import {
  type AuthenticationState,
  type BinaryNode,
  generateMessageIDV2,
  initAuthCreds,
  makeWASocket,
  type SignalDataTypeMap,
  type WASocket,
} from '@whiskeysockets/baileys'

const silent = {
  level: 'silent',
  child: () => silent,
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export interface RawClient {
  /** resolves with the first QR */
  qr(): Promise<string>
  /** resolves when it is open after pairing, with when that was, ms since the epoch */
  open(): Promise<number>
  /** resolves at the server's ack */
  sendText(to: string, text: string): Promise<void>
  end(): void
}

function memoryAuth(): AuthenticationState {
  const store = new Map<string, unknown>()
  return {
    creds: initAuthCreds(),
    keys: {
      get: async <T extends keyof SignalDataTypeMap>(type: T, ids: string[]) => {
        const found: { [id: string]: SignalDataTypeMap[T] } = {}
        for (const id of ids) {
          const value = store.get(`${type}/${id}`)
          if (value !== undefined) found[id] = value as SignalDataTypeMap[T]
        }
        return found
      },
      set: async (data) => {
        for (const [type, entries] of Object.entries(data)) {
          for (const [id, value] of Object.entries(entries ?? {})) {
            if (value) store.set(`${type}/${id}`, value)
            else store.delete(`${type}/${id}`)
          }
        }
      },
    },
  }
}

/** Starts to connect at once. */
export function createRawClient(url: string): RawClient {
  const auth = memoryAuth()
  const acks = new Map<string, (error?: string) => void>()
  let socket: WASocket
  let ended = false
  let gotQr: (qr: string) => void = () => undefined
  let gotOpen: (at: number) => void = () => undefined
  const qr = new Promise<string>((resolve) => {
    gotQr = resolve
  })
  const open = new Promise<number>((resolve) => {
    gotOpen = resolve
  })

  function connect(): void {
    socket = makeWASocket({ auth, logger: silent, waWebSocketUrl: url })
    socket.ws.on('CB:ack,class:message', ({ attrs }: BinaryNode) => acks.get(attrs.id ?? '')?.(attrs.error))
    socket.ev.on('connection.update', (update) => {
      if (update.qr) gotQr(update.qr)
      if (update.connection === 'open') gotOpen(performance.timeOrigin + performance.now())
      if (update.connection !== 'close' || ended) return
      const { output } = (update.lastDisconnect?.error ?? {}) as { output?: { statusCode: number } }
      // After pairing WhatsApp asks for a new connection; anything else would spoil the figures.
      if (output?.statusCode !== 515) throw new Error(`raw Baileys was disconnected: ${output?.statusCode}`)
      connect()
    })
  }
  connect()

  return {
    qr: () => qr,
    open: () => open,
    async sendText(to, text) {
      const messageId = generateMessageIDV2()
      const acked = new Promise<void>((resolve, reject) => {
        acks.set(messageId, (error) => {
          acks.delete(messageId)
          if (error) reject(new Error(`the server's ack says ${error}`))
          else resolve()
        })
      })
      await socket.sendMessage(to, { text }, { messageId })
      await acked
    },
    end() {
      ended = true
      void socket.end(undefined)
    },
  }
}
