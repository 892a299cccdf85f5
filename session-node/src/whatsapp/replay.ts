import { proto, unpadRandomMax16, type WAMessage, type WASocket } from '@whiskeysockets/baileys'
import type { InboxEntry } from '../../contract/index.ts'
import { describeError, type Logger } from '../logger.ts'
import type { Inbox } from './inbox.ts'
import { isProtocolMessage } from './message-content.ts'
import { messageKeyOf, messageOf } from './signal-repository.ts'

/** `messageMutex` is on every socket, but not in its type */
type FeedableSocket = Pick<WASocket, 'upsertMessage'> & {
  messageMutex: { mutex<T>(work: () => Promise<T>): Promise<T> }
}

/**
 * Messages of a node that died between decrypting them and reporting them, put together again from the inbox. A
 * stanza's parts become one message, as Baileys would have made it.
 */
export const messagesOf = (
  unsettled: readonly InboxEntry[],
  me: { id: string; lid?: string },
  inbox: Inbox,
  logger: Logger,
): WAMessage[] => {
  const messages = new Map<string, WAMessage>()
  for (const { hash, plaintext, stanza } of unsettled) {
    try {
      const fresh = messageOf(stanza, me)
      const key = messageKeyOf(fresh.key)
      const message = messages.get(key) ?? fresh
      const decoded = proto.Message.decode(unpadRandomMax16(Buffer.from(plaintext, 'base64')))
      message.message = Object.assign(message.message ?? {}, decoded.deviceSentMessage?.message ?? decoded)
      messages.set(key, message)
      inbox.open(key, hash)
    } catch (error) {
      logger.error('an inbox entry cannot be replayed', { hash, error: describeError(error) })
    }
  }
  return [...messages.values()]
}

/** history, key shares and the like are Baileys' to act upon: it gets them once it is connected */
export const feedProtocolMessages = async (
  socket: WASocket,
  messages: WAMessage[],
  logger: Logger,
): Promise<void> => {
  const { messageMutex, upsertMessage } = socket as unknown as FeedableSocket
  for (const message of messages.splice(0)) {
    try {
      await messageMutex.mutex(() => upsertMessage(message, 'append'))
    } catch (error) {
      // it stays unsettled: the next attach brings it again
      logger.warn('a replayed protocol message failed', { error: describeError(error) })
    }
  }
}

export const splitProtocol = (messages: WAMessage[]) => ({
  protocol: messages.filter(({ message }) => isProtocolMessage(message)),
  shown: messages.filter(({ message }) => !isProtocolMessage(message)),
})
