/**
 * The usual commit of a session that sends: the next message's ratchet and protobuf, and what became of earlier ones.
 * Two round trips: what reads and what needs no answer first, then what follows from it, together with the commit.
 */
import type { CommitRequest, NodeEvent } from '@palomar/session-node/contract'
import { Ending, type Queryable, together } from '../db/database.ts'
import { factsOf, namesPerson } from '../messages/message-reports.ts'
import { decideFactsOfSession, storeDecision } from '../messages/status-writer.ts'
import type { KeyStore } from '../sessions/key-store.ts'
import { appendEvents } from './event-log.ts'
import { writeKeyCommit } from './key-commit.ts'
import type { StoredEvent } from './types.ts'

export type SendingCommit = Omit<CommitRequest, 'events'> & { events: SendingReport[] }
type SendingReport = Extract<NodeEvent, { type: 'prepared' | 'ack' | 'receipt' }>

export function isSendingCommit(commit: CommitRequest): commit is SendingCommit {
  const { creds, inbox, events } = commit
  return creds === undefined && inbox.length === 0 && events.every(isSendingReport)
}

const isSendingReport = (report: NodeEvent): report is SendingReport =>
  report.type === 'prepared' || report.type === 'ack' || (report.type === 'receipt' && !namesPerson(report))

/**
 * Returns the events to publish, still being stored, for the transaction to end with; undefined when it was not the
 * commit's turn: then nothing was written.
 */
export async function writeSendingCommit(
  tx: Queryable,
  keys: Pick<KeyStore, 'seal'>,
  sessionId: string,
  commit: SendingCommit,
): Promise<Ending<StoredEvent[]> | undefined> {
  const prepared = commit.events.filter((report) => report.type === 'prepared')
  const [isItsTurn, decision] = await together(
    writeKeyCommit(tx, keys, sessionId, { ...commit, events: prepared }),
    decideFactsOfSession(tx, sessionId, commit.events.flatMap(factsOf)),
  )
  if (!isItsTurn) return undefined
  const stored = together(storeDecision(tx, decision), appendEvents(tx, decision.events))
  return new Ending(stored.then(([, events]) => events))
}
