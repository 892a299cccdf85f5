import { proto, toNumber, type WAMessage } from '@whiskeysockets/baileys'
import type { Address, Content, NodeEventInput } from '../../contract/index.ts'
import { addressOf, bare } from './addresses.ts'
import type { Identities } from './identities.ts'
import { contentOf, contextOf, isProtocolMessage, kindOf } from './message-content.ts'

export type MessageReportInput = Extract<NodeEventInput, { type: 'message' }>
type Origin = MessageReportInput['origin']

export interface ReportContext {
  me: Address
  identities: Pick<Identities, 'lidOf' | 'pnOf'>
}

/**
 * A message as the contract has it; undefined when it shows nothing to anybody (protocol messages, sender keys, stubs
 * of group changes).
 */
export const messageReportOf = (
  message: WAMessage,
  origin: Exclude<Origin, 'phone'>,
  { me, identities }: ReportContext,
): MessageReportInput | undefined => {
  const { key } = message
  const content = contentToReport(message)
  if (!content || !key.id || !key.remoteJid) return undefined
  const fromMe = Boolean(key.fromMe)
  // of our own messages Baileys may give our own other name as the chat's
  const alternative = isOurs(key.remoteJidAlt, me) && fromMe ? undefined : key.remoteJidAlt
  const chat = addressOf(key.remoteJid, alternative, identities)
  const context = message.message ? contextOf(message.message) : undefined
  const author = key.participant ? addressOf(key.participant, key.participantAlt, identities) : chat
  const pushName = message.pushName
  return {
    type: 'message',
    origin: fromMe && origin !== 'history' ? 'phone' : origin,
    id: key.id,
    from_me: fromMe,
    chat,
    sender: fromMe ? me : author,
    timestamp: timestampOf(message),
    content,
    ...(pushName ? { push_name: pushName } : {}),
    ...(context ? { context } : {}),
    ...(message.message
      ? { raw: Buffer.from(proto.Message.encode(message.message).finish()).toString('base64') }
      : {}),
  }
}

const contentToReport = (message: WAMessage): Content | undefined => {
  if (message.messageStubType === proto.WebMessageInfo.StubType.CIPHERTEXT) {
    const reason = message.messageStubParameters?.[0] ?? 'unknown'
    return { type: 'undecryptable', undecryptable: { reason: reason.slice(0, 1_000) } }
  }
  if (message.key.isViewOnce && !message.message)
    return { type: 'unsupported', unsupported: { kind: 'viewOnce' } }
  if (!message.message || isProtocolMessage(message.message) || !kindOf(message.message)) return undefined
  return contentOf(message.message)
}

const isOurs = (jid: string | null | undefined, me: Address) => {
  const user = bare(jid).split('@', 1)[0]
  return Boolean(user) && (user === me.pn || user === me.lid)
}

const timestampOf = ({ messageTimestamp }: WAMessage): number => {
  const seconds = toNumber(messageTimestamp)
  return Number.isSafeInteger(seconds) && seconds >= 0 ? seconds : Math.floor(Date.now() / 1000)
}
