import {
  extractMessageContent,
  getContentType,
  normalizeMessageContent,
  type proto,
} from '@whiskeysockets/baileys'
import type { Content, ReplyContext } from '../../contract/index.ts'
import { bare } from './addresses.ts'

const MAX_TEXT = 65_536
const MAX_ID = 128

/** parts of a message that say nothing by themselves */
const CARRIERS = new Set(['messageContextInfo', 'senderKeyDistributionMessage'])

/** The protocol's own name of what the message is, wrappers taken off; undefined when it holds nothing to show. */
export const kindOf = (message: proto.IMessage | null | undefined): string | undefined => {
  const inner = normalizeMessageContent(message ?? undefined)
  if (!inner) return undefined
  return (
    getContentType(inner) ??
    Object.keys(inner).find((key) => !CARRIERS.has(key) && inner[key as keyof proto.IMessage])
  )
}

export const isProtocolMessage = (message: proto.IMessage | null | undefined): boolean =>
  Boolean(normalizeMessageContent(message ?? undefined)?.protocolMessage)

/** what a person sees of a message, as far as Palomar spells it out */
export const contentOf = (message: proto.IMessage): Content => {
  const inner = extractMessageContent(message) ?? {}
  const body = inner.extendedTextMessage?.text ?? inner.conversation
  if (body) return { type: 'text', text: { body: body.slice(0, MAX_TEXT) } }
  const kind = kindOf(message) ?? 'unknown'
  const caption = captionOf(inner)
  return {
    type: 'unsupported',
    unsupported: { kind, ...(caption ? { caption: caption.slice(0, MAX_TEXT) } : {}) },
  }
}

/** the message that this one answers */
export const contextOf = (message: proto.IMessage): ReplyContext | undefined => {
  const inner = normalizeMessageContent(message)
  const kind = inner && getContentType(inner)
  const part = kind ? inner[kind] : undefined
  const info = typeof part === 'object' && part && 'contextInfo' in part ? part.contextInfo : undefined
  const id = info?.stanzaId
  if (!id || id.length > MAX_ID) return undefined
  return { message_id: id, ...(info?.participant ? { from: bare(info.participant) } : {}) }
}

const captionOf = (inner: proto.IMessage): string | undefined =>
  (inner.imageMessage ?? inner.videoMessage ?? inner.documentMessage ?? inner.ptvMessage)?.caption ??
  undefined
