import type { AttachResult } from '../contract/index.ts'
import { CommitLog } from './commits/commit-log.ts'
import type { SimulatorTarget } from './environment/simulator-target.ts'
import type { FatalError } from './errors.ts'
import type { Logger } from './logger.ts'
import { watchLateness } from './orchestrator/lateness.ts'
import type { OrchestratorClient } from './orchestrator/orchestrator-client.ts'
import { Acknowledgements } from './whatsapp/acknowledgements.ts'
import { Connection } from './whatsapp/connection.ts'
import { Credentials } from './whatsapp/credentials.ts'
import { Identities } from './whatsapp/identities.ts'
import { Inbox } from './whatsapp/inbox.ts'
import { Intake } from './whatsapp/intake.ts'
import { KeyCache } from './whatsapp/key-cache.ts'
import { KeyStore } from './whatsapp/key-store.ts'
import { MessageOrder } from './whatsapp/message-order.ts'
import { Recipients } from './whatsapp/recipients.ts'
import { feedProtocolMessages, messagesOf, splitProtocol } from './whatsapp/replay.ts'
import { Sender } from './whatsapp/sender.ts'
import { createSocketFactory } from './whatsapp/socket.ts'

export interface Session {
  readonly generation: number
  readonly log: CommitLog
  readonly credentials: Credentials
  readonly connection: Connection
  readonly sender: Sender
  start(): void
}

export interface SessionOptions {
  attached: AttachResult
  orchestrator: OrchestratorClient
  simulator: SimulatorTarget | undefined
  onFatal: (error: FatalError) => void
  logger: Logger
}

/** sessions and sender keys of about two thousand devices */
const MAX_KEY_BYTES = 6 * 1024 * 1024

/** a first login alone writes 812 pre-keys: below that it would leave WhatsApp again and again */
const MIN_PENDING_BYTES = 512 * 1024

/** longer than an orchestrator takes to be replaced: past it we leave WhatsApp, which keeps for us what it cannot deliver */
const KEYS_LATE_MS = 30_000

/** Builds what runs the account, from what the orchestrator gave on attach. */
export const createSession = ({
  attached,
  orchestrator,
  simulator,
  onFatal,
  logger,
}: SessionOptions): Session => {
  const { generation, settings } = attached
  const log = new CommitLog({
    generation,
    post: (body) => orchestrator.commit(body),
    maxPendingBytes: Math.max(settings.max_pending_bytes, MIN_PENDING_BYTES),
    onFatal,
    logger,
  })
  const credentials = new Credentials(attached.creds)
  const identities = new Identities()
  const inbox = new Inbox(attached.seen)
  const cache = new KeyCache(MAX_KEY_BYTES, () => log.durablePosition)
  const watchKeys = watchLateness(KEYS_LATE_MS, (late) => connection.hold('keys_pending', late))
  const keyStore = new KeyStore({
    cache,
    inbox,
    identities,
    log,
    fetch: (type, ids) => watchKeys(orchestrator.keys(type, ids)),
  })
  const acknowledgements = new Acknowledgements(attached.acked)
  const order = new MessageOrder()
  const intake = new Intake({ credentials, identities, inbox, order, acknowledgements, log, logger })
  const recipients = new Recipients(identities)

  const me = credentials.paired ? credentials.current.me : undefined
  const { protocol, shown } = splitProtocol(me ? messagesOf(attached.unsettled, me, inbox, logger) : [])

  const connection: Connection = new Connection({
    credentials,
    makeSocket: createSocketFactory({
      credentials,
      keyStore,
      inbox,
      order,
      log,
      settings,
      simulator,
      storedMessage: (id) => orchestrator.storedMessage(id),
      logger,
    }),
    log,
    onSocket: (socket) => intake.listen(socket),
    onActive: (socket) => void feedProtocolMessages(socket, protocol, logger),
    onForget: () => {
      keyStore.clear()
      identities.clear()
    },
    logger,
  })
  const sender = new Sender({
    line: () => connection.line,
    log,
    acknowledgements,
    recipients,
    onSilence: () => connection.silent(),
    onAcknowledged: () => connection.heard(),
  })
  return {
    generation,
    log,
    credentials,
    connection,
    sender,
    start() {
      for (const message of shown) intake.message(message, 'offline')
      connection.start()
    },
  }
}
