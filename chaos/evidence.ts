/** All that can be known after a run, from every side, as plain data. */
import type { Arrival, ContactSent } from '../harness/simulator-process.ts'
import type { History } from './history.ts'

export interface StoredMessage {
  id: string
  accountId: string
  waId: string
  direction: 'inbound' | 'outbound'
  conversationId: string
  type: string
  text: string | null
  status: string
  error: { code: string; outcome_unknown?: boolean } | null
  correlationId: string | null
}

export interface StoredEvent {
  /** its place in the log */
  id: number
  type: string
  /** of the message that it is about */
  messageId: string
  accountId: string
  waId: string
  /** what a listener read in it; null: nothing */
  text: string | null
}

export interface StoredJob {
  id: string
  state: string
  key: string
}

/** What a contact's phone shows, and what became of what it wrote. */
export interface ContactEvidence {
  phone: string
  /** in the order of arrival */
  received: Arrival[]
  sent: ContactSent[]
  unreadable: { id: string; reason: string }[]
}

export interface Evidence {
  history: History
  messages: StoredMessage[]
  /** in the order of the log */
  events: StoredEvent[]
  /** jobs of the lanes that have not ended */
  openJobs: StoredJob[]
  contacts: ContactEvidence[]
  /** nodes that ended by themselves, by no signal and without a reason of their own to end */
  crashes: { id: string; exit_code: number; exit_reason: string }[]
}
