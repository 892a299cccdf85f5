/**
 * Commits of session nodes: each is one transaction, applied once, in order, or not at all.
 *
 *   commit ──▶ fence, sequence ──▶ creds ──▶ keys ──▶ inbox ──▶ reports ──▶ event log ──▶ (committed) ──▶ fan-out, hooks
 */
import type { CommitRequest, CommitResult, NodeEvent } from '@palomar/session-node/contract'
import type { PoolClient } from 'pg'
import { type Database, Ending, together } from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { applyMessageReports } from '../messages/message-reports.ts'
import { retryConflict } from '../messages/retry-conflict.ts'
import type { Metrics } from '../metrics.ts'
import { changeState } from '../sessions/change-state.ts'
import type { InboxStore } from '../sessions/inbox-store.ts'
import type { KeyStore } from '../sessions/key-store.ts'
import { applySessionReports } from '../sessions/session-reports.ts'
import { lockSession, type SessionRow } from '../sessions/session-row.ts'
import { explainTurn, takeTurn } from './commit-fence.ts'
import { bodyFault } from './commit-refusal.ts'
import { appendEvents } from './event-log.ts'
import type { FanOut } from './fan-out.ts'
import { createGate } from './gate.ts'
import { isKeyCommit, type KeyCommit, writeKeyCommit } from './key-commit.ts'
import { createPublish } from './publish.ts'
import { isSendingCommit, type SendingCommit, writeSendingCommit } from './sending-commit.ts'
import type { StoredEvent } from './types.ts'

export interface IngestOptions {
  database: Database
  keys: KeyStore
  inbox: InboxStore
  fanOut: FanOut
  logger: Logger
  metrics: Metrics
  /** called after a commit that reported on the session, in the order given; a hook that throws is logged */
  onCommitted?: readonly ((commit: Committed) => void)[]
}

export interface Committed {
  sessionId: string
  accountId: string
  /** the session's and its pairing's news, in order */
  reports: SessionReport[]
}

type SessionReport = Extract<NodeEvent, { type: 'state' | 'qr' }>

export interface Ingest {
  /**
   * Applies a commit. `applied: false` when it had been applied before. Throws `fenced`, `sequence_gap`, `not_found`,
   * and `invalid_request` for what can never be stored: then nothing of it was written and the session is in `error`.
   */
  applyCommit(sessionId: string, commit: CommitRequest): Promise<CommitResult>
  /** A node sent what is not even a commit: logs it, and puts the session into `error` with the reason. */
  refuseCommit(sessionId: string, error: PalomarError): Promise<void>
}

/** syncs of history that may hold a connection at a time, so that live messages always find one */
const HISTORY_AT_A_TIME = 2

export function createIngest({
  database,
  keys,
  inbox,
  fanOut,
  logger,
  metrics,
  onCommitted = [],
}: IngestOptions): Ingest {
  const publish = createPublish({ fanOut, metrics })
  const historyGate = createGate(HISTORY_AT_A_TIME)

  interface Outcome extends CommitResult {
    accountId?: string
    events: StoredEvent[]
  }

  async function writeKeysAlone(sessionId: string, commit: KeyCommit): Promise<Outcome> {
    const applied = await writeKeyCommit(database.pool, keys, sessionId, commit)
    const seq = applied ? commit.seq : await explainTurn(database.pool, sessionId, commit)
    return { seq, applied, events: [] }
  }

  async function writeSending(
    tx: PoolClient,
    sessionId: string,
    commit: SendingCommit,
  ): Promise<Outcome | Ending<Outcome>> {
    const stored = await writeSendingCommit(tx, keys, sessionId, commit)
    if (!stored) return { seq: await explainTurn(tx, sessionId, commit), applied: false, events: [] }
    return new Ending(stored.result.then((events) => ({ seq: commit.seq, applied: true, events })))
  }

  async function write(
    tx: PoolClient,
    sessionId: string,
    commit: CommitRequest,
  ): Promise<Outcome | Ending<Outcome>> {
    const session = await takeTurn(tx, sessionId, commit)
    if (!session) return { seq: await explainTurn(tx, sessionId, commit), applied: false, events: [] }
    const settled = settledBy(commit.events)
    if (commit.creds !== undefined) await keys.writeCreds(tx, sessionId, commit.creds)
    await together(
      keys.writeKeys(tx, sessionId, commit.keys),
      inbox.writeInbox(tx, sessionId, commit.inbox, settled),
    )
    const sessionEvents = await applySessionReports(
      tx,
      session,
      commit.events.filter(isSessionReport),
      refusedReport,
    )
    const messageEvents = await applyMessageReports(tx, session, commit.events)
    const { accountId } = session
    return new Ending(
      appendEvents(tx, [...sessionEvents, ...messageEvents]).then((events) => ({
        ...{ seq: commit.seq, applied: true, accountId, events },
      })),
    )
  }

  function apply(sessionId: string, commit: CommitRequest): Promise<Outcome> {
    if (isKeyCommit(commit)) return writeKeysAlone(sessionId, commit)
    if (isSendingCommit(commit)) return database.transaction((tx) => writeSending(tx, sessionId, commit))
    return database.transaction((tx) => write(tx, sessionId, commit))
  }

  function refusedReport(report: SessionReport, session: SessionRow): void {
    logger.info('a report does not fit the session’s state', {
      session_id: session.id,
      state: session.state,
      report: report.type === 'state' ? report.state : report.type,
    })
  }

  function announce(sessionId: string, commit: CommitRequest, { accountId, events }: Outcome): void {
    publish(events)
    const reports = commit.events.filter(isSessionReport)
    if (accountId === undefined || reports.length === 0) return
    for (const hook of onCommitted) {
      try {
        hook({ sessionId, accountId, reports })
      } catch (error) {
        logger.error('a hook after a commit failed', { session_id: sessionId, error })
      }
    }
  }

  async function refuseCommit(sessionId: string, error: PalomarError): Promise<void> {
    logger.error('a commit was refused', {
      session_id: sessionId,
      error: { code: error.code, message: error.message },
    })
    const events = await database.transaction(async (tx) => {
      const session = await lockSession(tx, sessionId)
      if (!session) return []
      const change = await changeState(tx, session, 'report:error', {
        reason: `commit refused: ${error.message}`,
      })
      return appendEvents(tx, change.events)
    })
    fanOut.publish(events)
  }

  async function applyCommit(sessionId: string, commit: CommitRequest): Promise<CommitResult> {
    const end = metrics.commitDuration.startTimer()
    const run = () => retryConflict(() => apply(sessionId, commit))
    try {
      const outcome = await (hasHistory(commit) ? historyGate.run(run) : run())
      end({ result: outcome.applied ? 'applied' : 'repeated' })
      announce(sessionId, commit, outcome)
      return { seq: outcome.seq, applied: outcome.applied }
    } catch (error) {
      const fault = bodyFault(error)
      end({ result: fault ? 'refused' : error instanceof PalomarError ? error.code : 'failed' })
      if (!fault) throw error
      await refuseCommit(sessionId, fault)
      throw fault
    }
  }

  return { applyCommit, refuseCommit }
}

const isSessionReport = (report: NodeEvent): report is SessionReport =>
  report.type === 'state' || report.type === 'qr'

const hasHistory = (commit: CommitRequest) => commit.events.some(({ type }) => type === 'history')

/** the inbox entries that these events account for */
function settledBy(events: readonly NodeEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type === 'settled') return event.hashes
    if (event.type === 'message') return event.settles
    return event.type === 'history' ? event.messages.flatMap(({ settles }) => settles) : []
  })
}
