/** The room's own construction: its parts, put together for the edges and for `main.ts`. */
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import type { FanOut } from '../events/fan-out.ts'
import { createPublish } from '../events/publish.ts'
import { purgeLaneJobs, readLanePause } from '../lanes/lane-control.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import type { NodeClients } from '../nodes/node-clients.ts'
import { createAcceptor } from './accept-message.ts'
import { createCircuitBreaker } from './circuit-breaker.ts'
import { listConversations, readConversation } from './conversation-queries.ts'
import { listDeadLetters, redriveDeadLetter } from './dead-letters.ts'
import { type Answer, finishKey, type IdempotencyKey, purgeKeys } from './idempotency.ts'
import { createMessageChanges } from './message-changes.ts'
import { listMessages, readMessage } from './message-queries.ts'
import { createSendAndWait } from './send-and-wait.ts'
import { laneOf } from './send-job.ts'
import { createSendPlaces } from './send-places.ts'
import { createSendWorker } from './send-worker.ts'
import { readStoredMessage } from './stored-message.ts'
import { createEndWaiter } from './wait-for-end.ts'

export interface MessagesOptions {
  database: Database
  fanOut: FanOut
  clients: Pick<NodeClients, 'of'>
  config: Config['send']
  logger: Logger
  metrics: Metrics
}

export type Messages = ReturnType<typeof createMessages>

/** the most that a request takes beside its waiting for the end of a send */
const SLACK_MS = 10_000
/** how long the job of a message that has ended is kept */
const KEPT_JOBS_MS = 24 * 3_600_000

export function createMessages(options: MessagesOptions) {
  const { database, fanOut, config, logger } = options
  const waiter = createEndWaiter({ db: database.pool, fanOut })
  const worker = createSendWorker({
    ...{ ...options, ends: waiter, breaker: createCircuitBreaker(), paceMs: config.paceMs },
    places: createSendPlaces(),
  })
  const acceptor = createAcceptor({
    ...{ database, wake: worker.wake, claimBehind: worker.claimBehind },
    abandonedAfterMs: config.waitMs + SLACK_MS,
    onShareFailed: (error, requests) =>
      logger.warn('requests that shared a transaction are accepted one by one', { error, requests }),
  })
  const { cancel, retry } = createMessageChanges({
    database,
    wake: () => worker.wake(),
    publish: createPublish(options),
  })
  // A session that is connected again goes on with what waited for it.
  const unsubscribe = fanOut.subscribe((events) => {
    for (const event of events) {
      if (event.type === 'session.status.connected') void worker.resume(event.account_id)
    }
  })

  return {
    ...acceptor,
    sendAndWait: createSendAndWait({ db: database.pool, acceptor, waiter, waitMs: config.waitMs }),
    cancel,
    retry,
    keepAnswer: (tenantId: string, { key }: IdempotencyKey, { status, body }: Answer) =>
      finishKey(database.pool, tenantId, key, { status, body }),
    read: (tenantId: string, id: string) => readMessage(database.pool, tenantId, id),
    listConversations: (tenantId: string, query: { account_id?: string; cursor?: string; limit: number }) =>
      listConversations(database.pool, tenantId, { ...query, accountId: query.account_id }),
    findConversation: (tenantId: string, id: string, accountId?: string) =>
      readConversation(database.pool, tenantId, id, accountId),
    async listMessages(
      tenantId: string,
      conversation: string,
      query: { account_id?: string; cursor?: string; limit: number },
    ) {
      const { id } = await readConversation(database.pool, tenantId, conversation, query.account_id)
      return listMessages(database.pool, tenantId, id, query)
    },
    listDeadLetters: (tenantId: string, query: { cursor?: string; limit: number }) =>
      listDeadLetters(database.pool, tenantId, query),
    redriveDeadLetter: (tenantId: string, id: string) =>
      redriveDeadLetter(database.pool, { retry }, tenantId, id),
    /** Why the account sends nothing now (not connected, or its sends keep failing), and until when it rests at most. */
    sendingPause: (accountId: string) => readLanePause(database.pool, laneOf(accountId)),
    storedMessage: (sessionId: string, waId: string) => readStoredMessage(database.pool, sessionId, waId),

    start: worker.start,
    /** Forgets finished jobs and old idempotency keys. */
    async sweep(): Promise<void> {
      await purgeLaneJobs(database.pool, new Date(Date.now() - KEPT_JOBS_MS))
      await purgeKeys(database.pool)
    },
    async stop(graceMs: number): Promise<void> {
      unsubscribe()
      waiter.close()
      await worker.stop(graceMs)
    },
  }
}
