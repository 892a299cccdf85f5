import { proto, type WASocket } from '@whiskeysockets/baileys'
import type { Address, SendCommand, SendResult } from '../../contract/index.ts'
import type { AppendOptions, CommitLog } from '../commits/commit-log.ts'
import { NodeError } from '../errors.ts'
import type { Acknowledgement, Acknowledgements } from './acknowledgements.ts'
import { outgoingMessage } from './outgoing-message.ts'
import type { Recipients } from './recipients.ts'

/** an open socket and the end of it */
export interface Line {
  socket: WASocket
  /** resolves when this socket is gone */
  closed: Promise<void>
}

export interface SenderOptions {
  line: () => Line | undefined
  log: Pick<CommitLog, 'append' | 'drain' | 'hurry' | 'overloaded'>
  acknowledgements: Acknowledgements
  recipients: Recipients
  /** a send was not acknowledged in time on a line that seems open */
  onSilence: () => void
  onAcknowledged: () => void
}

/** Sends messages under ids that the orchestrator chose, each at most once as far as anybody can know. */
export class Sender {
  readonly #options: SenderOptions
  readonly #inFlight = new Map<string, Promise<SendResult>>()

  constructor(options: SenderOptions) {
    this.#options = options
  }

  /** resolves with the server's ack; a repeat of an acknowledged id sends nothing, one of a running send joins it */
  send(command: SendCommand): Promise<SendResult> {
    const acknowledged = this.#options.acknowledgements.acknowledgedAt(command.id)
    if (acknowledged !== undefined) {
      return Promise.resolve({
        id: command.id,
        acked_at: acknowledged || Math.floor(Date.now() / 1000),
        recipient: this.#options.recipients.complete(command.to),
        repeated: true,
      })
    }
    const running = this.#inFlight.get(command.id)
    if (running) return running
    const send = this.#send(command).finally(() => this.#inFlight.delete(command.id))
    this.#inFlight.set(command.id, send)
    return send
  }

  async #send(command: SendCommand): Promise<SendResult> {
    const { line: currentLine, log } = this.#options
    if (log.overloaded) throw new NodeError('overloaded')
    const line = currentLine()
    const ownJid = line?.socket.user?.id
    if (!line || !ownJid) throw new NodeError('not_connected')

    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<'timeout'>((resolve) => {
      timer = setTimeout(resolve, command.ack_timeout_ms, 'timeout')
    })
    const work = this.#relay(line, command, ownJid)
    try {
      const first = await Promise.race([work, timeout, line.closed.then(() => 'closed' as const)])
      // the bytes may have left, or may still leave: the end is unknown
      if (first === 'closed')
        throw new NodeError('ack_timeout', 'The connection closed before the acknowledgement')
      if (first === 'timeout') {
        this.#options.onSilence()
        throw new NodeError('ack_timeout')
      }
      this.#options.onAcknowledged()
      // Or the next message's ratchet, which that one waits for, shares its commit with what became of this one.
      if (!command.company) log.hurry()
      return this.#conclude(command, first.recipient, first.ack)
    } catch (error) {
      work.catch(() => undefined)
      throw asNodeError(error, line)
    } finally {
      clearTimeout(timer)
    }
  }

  /** look-up, message, bytes, ack */
  async #relay(
    { socket }: Line,
    command: SendCommand,
    ownJid: string,
  ): Promise<{ recipient: Address; ack: Acknowledgement }> {
    const { log, recipients, acknowledgements } = this.#options
    // a query leaves after what waits for company in the log
    if (command.resolve) void log.drain()
    const recipient = command.resolve
      ? await recipients.resolve(socket, command.to)
      : recipients.complete(command.to)
    const message = await outgoingMessage(command, recipient.jid, ownJid)
    log.append(
      { events: [{ type: 'prepared', id: command.id, raw: encode(message) }] },
      isPerson(recipient) ? WITH_ITS_RATCHET : {},
    )
    const ack = acknowledgements.expect(command.id)
    await socket.relayMessage(recipient.jid, message, { messageId: command.id })
    return { recipient, ack: await ack }
  }

  #conclude({ id }: SendCommand, recipient: Address, { timestamp, error }: Acknowledgement): SendResult {
    if (error === undefined) {
      // sending may have found the LID
      return {
        id,
        acked_at: timestamp,
        recipient: this.#options.recipients.complete(recipient),
        repeated: false,
      }
    }
    throw new NodeError(
      error === 429 ? 'throttled' : 'rejected',
      `WhatsApp refused the message with ${error}`,
      {
        waCode: error,
      },
    )
  }
}

const encode = (message: proto.IMessage) =>
  Buffer.from(proto.Message.encode(message).finish()).toString('base64')

/** the ratchet's write follows at once, and the bytes wait for that one */
const WITH_ITS_RATCHET: AppendOptions = { withinMs: 250, holds: false }

/** only Signal sessions write a ratchet with every message */
const isPerson = ({ jid }: Address) => jid.endsWith('@s.whatsapp.net') || jid.endsWith('@lid')

/** what fails because the socket went away is a matter of the connection */
const asNodeError = (error: unknown, line: Line): NodeError => {
  if (error instanceof NodeError) return error
  if (!line.socket.ws.isOpen) {
    return new NodeError('ack_timeout', 'The connection closed while the message was being sent', {
      cause: error,
    })
  }
  return new NodeError('internal', error instanceof Error ? error.message : String(error), { cause: error })
}
