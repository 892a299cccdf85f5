import { generateWAMessage, proto, type WAMessage } from '@whiskeysockets/baileys'
import type { SendCommand } from '../../contract/index.ts'

/** The protobuf of a send. Made once; later tries bring it along, so that a retry is the same message. */
export const outgoingMessage = async (
  command: SendCommand,
  jid: string,
  ownJid: string,
): Promise<proto.IMessage> => {
  if (command.raw !== undefined) return proto.Message.decode(Buffer.from(command.raw, 'base64'))
  const quoted = quotedMessage(command, jid)
  const { message } = await generateWAMessage(
    jid,
    // null: Baileys would fetch the first URL of the text for a preview
    { text: command.content.text.body, linkPreview: null },
    {
      messageId: command.id,
      userJid: ownJid,
      upload: () => Promise.reject(new Error('A text has nothing to upload')),
      ...(quoted ? { quoted } : {}),
    },
  )
  if (!message) throw new Error('Baileys generated no message')
  return message
}

const quotedMessage = ({ context }: SendCommand, jid: string): WAMessage | undefined => {
  if (!context) return undefined
  const { message_id, from_me, participant, raw } = context
  return {
    key: { remoteJid: jid, id: message_id, fromMe: from_me, ...(participant ? { participant } : {}) },
    // WhatsApp shows the original by its id; the copy is for those who do not have it
    message: raw === undefined ? { conversation: '' } : proto.Message.decode(Buffer.from(raw, 'base64')),
  } as WAMessage
}
