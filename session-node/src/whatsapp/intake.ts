import {
  type BaileysEventMap,
  type BinaryNode,
  normalizeMessageContent,
  type WAMessage,
  type WASocket,
} from '@whiskeysockets/baileys'
import { type NodeEventInput, nodeEvent } from '../../contract/index.ts'
import type { AppendOptions, CommitLog } from '../commits/commit-log.ts'
import type { Logger } from '../logger.ts'
import type { Acknowledgements } from './acknowledgements.ts'
import type { Credentials } from './credentials.ts'
import { historyReportsOf } from './history-report.ts'
import type { Identities } from './identities.ts'
import type { Inbox } from './inbox.ts'
import type { MessageOrder } from './message-order.ts'
import { messageReportOf } from './message-report.ts'
import { receiptReportOf } from './receipt-report.ts'
import { messageKeyOf } from './signal-repository.ts'

/** nobody waits for these: they go with what comes next, or after a moment */
const AT_LEISURE: AppendOptions = { withinMs: 250, holds: false }

/**
 * What acknowledges a receipt to WhatsApp must not leave before the receipt is durable, and frames leave in order: so
 * long at most a receipt keeps back a query that writes nothing. A session that sends has its next ratchet earlier,
 * on a busy machine too, and both are one commit.
 */
const RECEIPT: AppendOptions = { withinMs: 100 }

export interface IntakeOptions {
  credentials: Credentials
  identities: Identities
  inbox: Inbox
  order: MessageOrder
  acknowledgements: Acknowledgements
  log: CommitLog
  logger: Logger
}

/**
 * Everything that WhatsApp tells us, on its way into the log. All of it is appended in the turn in which it arrives,
 * so that Baileys' own receipts and acks, which the output gate holds, leave after it is durable.
 */
export class Intake {
  readonly #options: IntakeOptions

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  listen(socket: WASocket): void {
    // before Baileys' own listener, which acknowledges the receipt
    socket.ws.prependListener('CB:receipt', (node: BinaryNode) => this.#receipt(node))
    socket.ws.prependListener('CB:ack,class:message', (node: BinaryNode) => this.#ack(node))
    socket.ev.on('messages.upsert', ({ messages, type }) => {
      for (const message of messages) {
        const queued = type === 'append' || this.#options.order.isOffline(message.key.id)
        this.message(message, queued ? 'offline' : 'live')
      }
    })
    socket.ev.on('messaging-history.set', (history) => this.#history(history))
  }

  message(message: WAMessage, origin: 'live' | 'offline'): void {
    const { credentials, identities, inbox } = this.#options
    const me = credentials.me
    if (!me) return
    const hashes = inbox.take(messageKeyOf(message.key))
    const report = messageReportOf(message, origin, { me, identities })
    if (report) this.#append({ ...report, settles: hashes })
    else this.#settleWhenDone(message, hashes)
  }

  /** protocol messages show nothing, but some of them must not be lost before Baileys has acted upon them */
  #settleWhenDone(message: WAMessage, hashes: string[]): void {
    const { inbox } = this.#options
    const protocol = normalizeMessageContent(message.message)?.protocolMessage
    if (message.key.fromMe && protocol?.historySyncNotification) inbox.awaitHistory(hashes)
    else if (message.key.fromMe && protocol?.appStateSyncKeyShare?.keys?.length) inbox.awaitKeyShare(hashes)
    else this.#settle(hashes)
  }

  #settle(hashes: string[]): void {
    if (hashes.length > 0) this.#append({ type: 'settled', hashes }, AT_LEISURE)
  }

  #history(history: BaileysEventMap['messaging-history.set']): void {
    const { credentials, identities, inbox } = this.#options
    const me = credentials.me
    if (!me) return
    for (const report of historyReportsOf(history, { me, identities })) this.#append(report)
    this.#settle(inbox.settleHistory())
  }

  #receipt(node: BinaryNode): void {
    const { credentials, identities } = this.#options
    const me = credentials.me
    const report = me && receiptReportOf(node, { me, identities })
    if (report) this.#append(report, RECEIPT)
  }

  #ack(node: BinaryNode): void {
    const ack = this.#options.acknowledgements.receive(node)
    if (!ack) return
    const { id, timestamp, error } = ack
    // who asked for the send has the answer already; the log needs it for repeats
    this.#append({ type: 'ack', id, timestamp, ...(error === undefined ? {} : { error }) }, AT_LEISURE)
  }

  /** what does not fit the contract would be refused, and everything after it with it */
  #append(event: NodeEventInput, options?: AppendOptions): void {
    const checked = nodeEvent.safeParse(event)
    if (checked.success) {
      this.#options.log.append({ events: [event] }, options)
      return
    }
    const issues = checked.error.issues.map(({ path, code }) => `${path.join('.')}: ${code}`)
    this.#options.logger.error('an event does not fit the contract and was left out', {
      type: event.type,
      issues,
    })
  }
}
