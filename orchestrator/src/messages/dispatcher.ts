/**
 * Sends what waits in an account's lane, one after the other.
 *
 *   job ──┬──▶ ended already: done
 *         ├──▶ not connected: the lane stands still until the session is active; no try is counted
 *         └──▶ node ──▶ acknowledged: sent
 *                  ├──▶ refused for good: failed
 *                  └──▶ anything else, also an unknown end: again after a while, under the same id
 *
 * A job comes with its message (`job.found`). What became of it is written in the transaction that ends its job; without
 * a pace, the next one is sent meanwhile. The node reports acks in its commits as well; whoever comes second changes
 * nothing. When another message goes out right behind, that one's commit brings the ack along, and only the job is left
 * to end.
 */
import type { SendResult } from '@palomar/session-node/contract'
import type { PoolClient } from 'pg'
import { type Database, Ending, type Queryable, together } from '../db/database.ts'
import { appendEvents } from '../events/event-log.ts'
import type { FanOut } from '../events/fan-out.ts'
import { createPublish } from '../events/publish.ts'
import { pauseLane } from '../lanes/lane-control.ts'
import type { LaneJob, LaneOutcome } from '../lanes/lane-job.ts'
import type { Finished, LaneHandler, LaneTry } from '../lanes/lane-try.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { NodeClients } from '../nodes/node-clients.ts'
import { NodeError } from '../nodes/node-error.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import { markSent } from './mark-sent.ts'
import { keepRecipient } from './resolved-recipient.ts'
import { sendError } from './send-errors.ts'
import { sendJob } from './send-job.ts'
import type { SendPlaces } from './send-places.ts'
import { judge, type Verdict } from './send-verdict.ts'
import { commandOf, readSendWork, rememberEarlierTry, type SendWork, sendWorkOf } from './send-work.ts'
import type { StatusChange } from './status.ts'
import { decideFacts, storeDecision, writeFacts } from './status-writer.ts'
import { waTime } from './wa-time.ts'
import type { EndWaiter, Listening } from './wait-for-end.ts'

export interface DispatcherOptions {
  database: Database
  clients: Pick<NodeClients, 'of'>
  breaker: CircuitBreaker
  fanOut: FanOut
  ends: Pick<EndWaiter, 'listen'>
  places: SendPlaces
  logger: Logger
  metrics: Metrics
  /** least time between two messages of an account, in milliseconds */
  paceMs: number
  /** how long the node waits for the server's ack; default 20 s */
  ackTimeoutMs?: number
  /** how long the end of a send waits for the commit that the next one brings; default 150 ms */
  commitMs?: number
}

export interface Dispatcher {
  handler: LaneHandler
  onDead(tx: Queryable, job: LaneJob, error: string): Promise<void>
}

/** While a session is not connected its lane looks again after this time, should the news of the connection be lost. */
const STANDSTILL_MS = 60_000
/** The session is active, but its node does not answer: it is just being replaced, or its state is about to change. */
const LOOK_AGAIN_MS = 1_000

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { database, clients, breaker, ends, places, logger, metrics, paceMs } = options
  const { ackTimeoutMs = 20_000, commitMs = 150 } = options
  const publish = createPublish(options)

  const handler: LaneHandler = async (job, attempt) => {
    const work = await sendWorkOf(database.pool, job)
    await attempt.mayDo()
    if (work?.status !== 'pending') return { result: 'done', paceMs: 0 }
    const { nodeId, nodeAddress, sessionId } = work
    if (work.sessionState !== 'active' || !nodeId || !nodeAddress) return standStill(job, attempt, work)
    if (work.raw) await rememberEarlierTry(database.pool, work.id)
    const news = ends.listen(work.id)
    try {
      return await send(job, attempt, work, { nodeId, sessionId, address: nodeAddress }, news)
    } finally {
      news.stop()
    }
  }

  async function send(
    job: LaneJob,
    attempt: LaneTry,
    work: SendWork,
    node: Parameters<NodeClients['of']>[0],
    news: Listening,
  ): Promise<LaneOutcome | Finished> {
    const leave = await places.enter()
    const end = metrics.sendDuration.startTimer()
    let answer: SendResult
    try {
      answer = await clients
        .of(node)
        .send(commandOf(work, ackTimeoutMs, attempt.company))
        .finally(leave)
    } catch (error) {
      if (!(error instanceof NodeError)) throw error
      const verdict = judge(error)
      end({ result: verdict.is })
      logger.info('a try to send failed', {
        ...fieldsOf(work),
        attempt: job.attempt,
        code: error.code,
        verdict: verdict.is,
      })
      return verdict.is === 'waiting' ? standStill(job, attempt, work) : failed(job, attempt, work, verdict)
    }
    end({ result: 'sent' })
    attempt.done()
    breaker.succeeded(work.accountId)
    const told = attempt.followed && !work.unresolved ? await news.end(commitMs) : undefined
    if (told) return { result: 'done', paceMs }
    const done: LaneOutcome = { result: 'done', paceMs }
    const at = waTime(answer.acked_at)
    if (!work.unresolved) return settleSent(attempt, work, at, done)
    return settle(attempt, work, { to: 'sent', at }, done, (tx) => {
      const { conversationId: id, chatPn: pn, chatLid: lid } = work
      return keepRecipient(tx, work, { id, pn, lid }, answer.recipient)
    })
  }

  async function settleSent(
    attempt: LaneTry,
    work: SendWork,
    at: Date,
    done: LaneOutcome,
  ): Promise<Finished> {
    await attempt.mayEnd()
    const [events, finished] = await database.transaction(
      async (tx) => new Ending(together(markSent(tx, work, at), attempt.finish(tx, done))),
    )
    publish(events)
    return finished
  }

  /** Writes what became of the message and ends the job, together; tells it once that is durable. */
  async function settle(
    attempt: LaneTry,
    work: SendWork,
    change: StatusChange,
    outcome: LaneOutcome,
    before: (tx: PoolClient) => Promise<void>,
  ): Promise<Finished> {
    await attempt.mayEnd()
    const [, events, finished] = await database.transaction(async (tx) => {
      await before(tx)
      const decision = await decideFacts(tx, work.accountId, [{ waId: work.waId, change }])
      return new Ending(
        together(storeDecision(tx, decision), appendEvents(tx, decision.events), attempt.finish(tx, outcome)),
      )
    })
    publish(events)
    return finished
  }

  async function failed(
    job: LaneJob,
    attempt: LaneTry,
    work: SendWork,
    verdict: Exclude<Verdict, { is: 'waiting' }>,
  ): Promise<Finished> {
    const { error } = verdict
    const restMs = breaker.failed(work.accountId, error.code)
    const rest = async (tx: PoolClient) => {
      if (restMs === undefined) return
      const reason = `sends keep failing: ${error.title}`
      logger.warn('an account’s lane rests', { ...fieldsOf(work), code: error.code, ms: restMs })
      await pauseLane(tx, job.key, new Date(Date.now() + restMs), reason)
    }
    const change: StatusChange = { to: 'failed', at: new Date(), error }
    if (verdict.is === 'failed') return settle(attempt, work, change, { result: 'done', paceMs }, rest)
    if (job.attempt >= job.maxAttempts) {
      return settle(attempt, work, change, { result: 'dead', error: error.title }, rest)
    }
    await attempt.mayEnd()
    return database.transaction(async (tx) => {
      await rest(tx)
      // A lane that rests starts with this message as soon as it goes on.
      return attempt.finish(tx, { result: 'retry', error: error.title, ...(restMs && { afterMs: 0 }) })
    })
  }

  /** The session's row is locked against commits, so that news of its connection cannot slip in between. */
  async function standStill(job: LaneJob, attempt: LaneTry, { sessionId }: SendWork): Promise<Finished> {
    await attempt.mayEnd()
    return database.transaction(async (tx) => {
      const { rows } = await tx.query<{ state: string }>({
        name: 'standstill_session',
        text: 'select state from session where id = $1 for share',
        values: [sessionId],
      })
      const state = rows[0]?.state ?? 'gone'
      const error = `the session is ${state}`
      if (state === 'active') return attempt.finish(tx, { result: 'wait', error, afterMs: LOOK_AGAIN_MS })
      await pauseLane(tx, job.key, new Date(Date.now() + STANDSTILL_MS), error)
      return attempt.finish(tx, { result: 'wait', error, afterMs: 0 })
    })
  }

  /** Also of a job whose workers were lost again and again: then its message is told as failed here, in the log only. */
  async function onDead(tx: Queryable, job: LaneJob): Promise<void> {
    const work = await readSendWork(tx, sendJob.parse(job.payload).message_id)
    if (!work) return
    const change: StatusChange = { to: 'failed', at: new Date(), error: sendError('outcome_unknown') }
    await appendEvents(tx, await writeFacts(tx, work.accountId, [{ waId: work.waId, change }]))
  }

  return { handler, onDead }
}

const fieldsOf = ({ accountId, sessionId, waId }: SendWork) => ({
  account_id: accountId,
  session_id: sessionId,
  wa_id: waId,
})
