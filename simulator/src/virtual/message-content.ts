/** What kind of message a proto.Message is: for the attributes of its stanza, and for whoever looks at it. */
import { getContentType, normalizeMessageContent, type proto, toNumber } from '@whiskeysockets/baileys'

const MEDIA: [keyof proto.IMessage, string][] = [
  ['imageMessage', 'image'],
  ['videoMessage', 'video'],
  ['audioMessage', 'audio'],
  ['documentMessage', 'document'],
  ['stickerMessage', 'sticker'],
  ['contactMessage', 'vcard'],
  ['contactsArrayMessage', 'contact_array'],
  ['liveLocationMessage', 'livelocation'],
  ['listMessage', 'list'],
  ['listResponseMessage', 'list_response'],
  ['buttonsResponseMessage', 'buttons_response'],
]

function mediaType(content: proto.IMessage): string | undefined {
  if (content.audioMessage?.ptt) return 'ptt'
  if (content.videoMessage?.gifPlayback) return 'gif'
  return MEDIA.find(([field]) => content[field])?.[1]
}

/** Attributes of the stanza (`type`, `edit`) and of each of its encs (`mediatype`, `decrypt-fail`), as clients write them. */
export function wireAttrs(message: proto.IMessage): {
  stanza: Record<string, string>
  enc: Record<string, string>
} {
  const content = normalizeMessageContent(message) ?? {}
  const media = mediaType(content)
  const enc: Record<string, string> = {}
  if (media) enc.mediatype = media
  if (content.reactionMessage || content.pinInChatMessage) enc['decrypt-fail'] = 'hide'
  const stanza: Record<string, string> = { type: stanzaType(content, media) }
  const edit = editAttr(content.protocolMessage)
  if (edit) stanza.edit = edit
  return { stanza, enc }
}

function stanzaType(content: proto.IMessage, media: string | undefined): string {
  if (content.reactionMessage) return 'reaction'
  if (Object.keys(content).some((key) => key.startsWith('poll'))) return 'poll'
  if (content.eventMessage) return 'event'
  return media ? 'media' : 'text'
}

function editAttr(change: proto.Message.IProtocolMessage | null | undefined): string | undefined {
  if (!change) return undefined
  if (change.editedMessage) return '1'
  // type 0, REVOKE, is the default of the field: it is only meant when a message is named
  return toNumber(change.type) === 0 && change.key ? '7' : undefined
}

/**
 * The content field's name without "Message": `image`, `audio`, `reaction`, `protocol`… Plain and extended
 * texts are both `text`.
 */
export function contentType(message: proto.IMessage): string {
  const field = getContentType(normalizeMessageContent(message))
  if (!field) return 'empty'
  if (field === 'conversation' || field === 'extendedTextMessage') return 'text'
  return field.replace(/Message(V\d)?$/, '')
}

/** Text or caption, or the emoji of a reaction; empty when there is none. */
export function contentText(message: proto.IMessage): string {
  const content = normalizeMessageContent(message) ?? {}
  return (
    content.conversation ??
    content.extendedTextMessage?.text ??
    content.imageMessage?.caption ??
    content.videoMessage?.caption ??
    content.documentMessage?.caption ??
    content.reactionMessage?.text ??
    ''
  )
}

/** Whether `contentText` says all there is: a text that quotes nothing, mentions nobody and has no preview. */
export function isPlainText(message: proto.IMessage): boolean {
  const content = normalizeMessageContent(message) ?? {}
  const extended = content.extendedTextMessage
  return content.conversation != null || (extended != null && !extended.contextInfo && !extended.matchedText)
}
