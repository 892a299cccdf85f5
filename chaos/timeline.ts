/** What is known of one message, from every side, for whoever has to find out what went wrong with it. */
import type { Evidence } from './evidence.ts'

/** @param message the text or WhatsApp id of it, as violations name it */
export function timelineOf(message: string, evidence: Evidence): string[] {
  const { history, messages, events, contacts } = evidence
  // A text, an id, or both: `text (id)`.
  const names = new Set([message, ...message.replace(/\)$/, '').split(' (')])
  const about = (...ids: (string | null | undefined)[]) => ids.some((id) => id && names.has(id))
  const line = (what: string, fact: object) => `${what} ${JSON.stringify(fact)}`
  const rows = messages.filter(({ text, waId }) => about(text, waId))
  const rowIds = new Set(rows.map(({ id }) => id))
  return [
    ...history.inbound.filter(({ text, waId }) => about(text, waId)).map((each) => line('sent', each)),
    ...history.outbound.filter(({ text }) => about(text)).map((each) => line('asked', each)),
    ...rows.map((each) => line('row', each)),
    ...events.filter(({ messageId }) => rowIds.has(messageId)).map(({ id, type }) => `event ${id} ${type}`),
    ...contacts.flatMap(({ phone, received, sent }) => [
      ...received.filter(({ id, text }) => about(id, text)).map((each) => line(`${phone} received`, each)),
      ...sent.filter(({ id }) => about(id)).map((each) => line(`${phone} sent`, each)),
    ]),
  ]
}
