import type { BaileysEventMap, WAMessage } from '@whiskeysockets/baileys'
import { messageReport, type NodeEventInput } from '../../contract/index.ts'
import { addressOf } from './addresses.ts'
import { type MessageReportInput, messageReportOf, type ReportContext } from './message-report.ts'

export type HistoryReportInput = Extract<NodeEventInput, { type: 'history' }>

const MAX_MESSAGES = 200
const MAX_CHATS = 1_000
/** thumbnails make history messages large: a part stays far below what a commit may hold */
const MAX_BYTES = 1024 * 1024

/** A history sync in parts that fit the contract. Chats go first, so that their names are there. */
export function* historyReportsOf(
  history: BaileysEventMap['messaging-history.set'],
  context: ReportContext,
): Generator<HistoryReportInput> {
  const names = new Map(history.contacts.map((contact) => [contact.id, contact.name ?? contact.notify]))
  const chats = history.chats.flatMap((chat) => {
    if (!chat.id) return []
    const name = chat.name ?? names.get(chat.id)
    return [
      {
        address: addressOf(chat.id, chat.pnJid ?? chat.lidJid, context.identities),
        ...(name ? { name: name.slice(0, 1_000) } : {}),
      },
    ]
  })
  while (chats.length > 0) yield { type: 'history', messages: [], chats: chats.splice(0, MAX_CHATS) }

  let part: MessageReportInput[] = []
  let bytes = 0
  for (const message of history.messages) {
    const report = messageReportOf(message as WAMessage, 'history', context)
    // what does not fit the contract would spoil the rest of its part
    if (!report || !messageReport.safeParse(report).success) continue
    const size = (report.raw?.length ?? 0) + 1_000
    if (part.length > 0 && (part.length >= MAX_MESSAGES || bytes + size > MAX_BYTES)) {
      yield { type: 'history', messages: part, chats: [] }
      part = []
      bytes = 0
    }
    part.push(report)
    bytes += size
  }
  if (part.length > 0) yield { type: 'history', messages: part, chats: [] }
}
