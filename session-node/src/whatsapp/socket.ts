/** Makes a Baileys socket the way Palomar needs it: guarded Signal layer, output gate, unbuffered events. */
import {
  makeWASocket,
  proto,
  type SocketConfig,
  WA_CERT_DETAILS,
  type WASocket,
} from '@whiskeysockets/baileys'
import type { AttachResult } from '../../contract/index.ts'
import type { CommitLog } from '../commits/commit-log.ts'
import type { SimulatorTarget } from '../environment/simulator-target.ts'
import type { Logger } from '../logger.ts'
import { baileysLogger } from './baileys-logger.ts'
import { makeSessionsCareful } from './careful-sessions.ts'
import type { Credentials } from './credentials.ts'
import { ExpiringCache } from './expiring-cache.ts'
import type { Inbox } from './inbox.ts'
import type { KeyStore } from './key-store.ts'
import type { MessageOrder } from './message-order.ts'
import { holdUntilDurable, type RawSocket } from './output-gate.ts'
import { keepPrivacyTokens } from './privacy-tokens.ts'
import { RetryCounters } from './retry-counters.ts'
import { guardSignalRepository, StanzaIndex } from './signal-repository.ts'
import { unbuffer } from './unbuffered-events.ts'

export interface SocketFactoryOptions {
  credentials: Credentials
  keyStore: KeyStore
  inbox: Inbox
  order: MessageOrder
  log: CommitLog
  settings: AttachResult['settings']
  simulator: SimulatorTarget | undefined
  storedMessage: (id: string) => Promise<Buffer | undefined>
  logger: Logger
}

const MINUTE = 60_000
/** a peer that does not answer our close is dropped after this long */
const CLOSE_MS = 1_000

/** The factory keeps what should outlive a socket: caches whose loss would reset Baileys' own limits. */
export const createSocketFactory = (options: SocketFactoryOptions): (() => WASocket) => {
  const { credentials, keyStore, inbox, order, log, settings, simulator, storedMessage, logger } = options
  if (simulator) WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(simulator.rootKey)
  makeSessionsCareful()
  const stanzas = new StanzaIndex()
  const config: Omit<Parameters<typeof makeWASocket>[0], 'auth'> = {
    logger: baileysLogger(logger),
    // never changed for a paired account; the phone shows it in its list of devices
    browser: ['Palomar', 'Chrome', '1.0'],
    ...(settings.wa_version ? { version: settings.wa_version } : {}),
    ...(simulator ? { waWebSocketUrl: simulator.url } : {}),
    connectTimeoutMs: 20_000,
    keepAliveIntervalMs: 25_000,
    defaultQueryTimeoutMs: 30_000,
    markOnlineOnConnect: settings.mark_online,
    syncFullHistory: false,
    shouldSyncHistoryMessage: () => true,
    shouldIgnoreJid: () => false,
    retryRequestDelayMs: 100,
    appStateMacVerification: { patch: true, snapshot: true },
    transactionOpts: { maxCommitRetries: 3, delayBetweenTriesMs: 200 },
    userDevicesCache: new ExpiringCache(5 * MINUTE, 2_000),
    callOfferCache: new ExpiringCache(5 * MINUTE, 100),
    placeholderResendCache: new ExpiringCache(60 * MINUTE, 1_000),
    makeSignalRepository: guardSignalRepository(inbox, stanzas),
    getMessage: async ({ id }) => {
      const raw = id ? await storedMessage(id) : undefined
      return raw && proto.Message.decode(raw)
    },
  }
  return () => {
    const keys = keyStore.ofIdentity()
    const auth: SocketConfig['auth'] = { creds: credentials.current, keys }
    const msgRetryCounterCache = new RetryCounters(keys)
    const socket = makeWASocket({ ...config, auth, msgRetryCounterCache } as Parameters<
      typeof makeWASocket
    >[0])
    keepPrivacyTokens(socket.authState.keys, keys)
    const raw = rawSocketOf(socket)
    holdUntilDurable(raw, log)
    closePromptly(raw)
    unbuffer(socket.ev)
    order.apply(socket.ws, (node) => stanzas.add(node))
    return socket
  }
}

type ClosableSocket = RawSocket & { close(): void; terminate(): void }

/** the `ws` socket inside of Baileys' client: the one instance that all its sends pass */
const rawSocketOf = (socket: WASocket): ClosableSocket => {
  const { socket: raw } = socket.ws as unknown as { socket: ClosableSocket | null }
  if (!raw) throw new Error('Baileys opened no socket: its client has changed')
  return raw
}

/** Baileys waits for the closing handshake, up to 30 s with a peer that is gone, before it says that it has closed */
const closePromptly = (raw: ClosableSocket): void => {
  const close = raw.close.bind(raw)
  raw.close = () => {
    close()
    setTimeout(() => raw.terminate(), CLOSE_MS).unref()
  }
}
