/**
 * Accepting a message: once this has returned, it is stored and will be sent, whatever is killed.
 *
 *   one transaction: idempotency key ─▶ checks ─▶ conversation ─▶ message (pending, its WhatsApp id chosen) ─▶ lane job
 *
 * Requests that arrive while others are being accepted share the next transaction; those with an idempotency key, which
 * may have to wait for another of the same key, and bulks have one of their own.
 */
import type { PoolClient } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import {
  type Database,
  endWith,
  type Queryable,
  type TransactionOptions,
  together,
  type Work,
} from '../db/database.ts'
import { PalomarError } from '../errors.ts'
import { checkItems, type Wanted } from './accept-checks.ts'
import { type Draft, draftItems } from './draft-items.ts'
import { createGather } from './gather.ts'
import { type Answer, finishingKey, type IdempotencyKey, type Taken, takeKey } from './idempotency.ts'
import type { MessageInput } from './message-input.ts'
import { readMessages } from './message-queries.ts'
import type { Message } from './message-schemas.ts'
import { retryConflict } from './retry-conflict.ts'

export interface AcceptOptions<Accepted> {
  /** the caller does not wait: the end is told by a `message.ack` event with the message's correlation id */
  async: boolean
  /** take it although the session is not connected; implied by `async`, and by an item's `send_at` */
  queue: boolean
  idempotency?: IdempotencyKey
  /** the request's answer, where accepting is all that it does: kept with the key in the same transaction */
  answer?: (accepted: Accepted) => Answer
}

export interface Acceptor {
  /**
   * Throws `account_not_found`, `invalid_recipient`, `session_not_connected` (with the state), `message_not_found`
   * (of the quoted one), `idempotency_mismatch`, `idempotency_in_progress`. Gives the first answer where the key
   * already has one; and where it has none and its request was cut off, the message of then, whose id is another.
   * @param id what the message will have
   */
  accept(
    tenantId: string,
    input: MessageInput,
    options: AcceptOptions<Message>,
    id?: string,
  ): Promise<{ message: Message } | { answer: Answer }>
  /**
   * Up to a thousand in one transaction. An error, given or found, stands in its item's place and harms no other;
   * only those of the idempotency key are thrown.
   */
  acceptMany(
    tenantId: string,
    inputs: readonly (MessageInput | PalomarError)[],
    options: AcceptOptions<(Message | PalomarError)[]>,
  ): Promise<{ results: (Message | PalomarError)[] } | { answer: Answer }>
}

export interface AcceptorOptions {
  database: Database
  /** told of the accounts that have more to send, after the commit */
  wake: (accountIds: readonly string[]) => void
  /** instead of that, where it can: see `SendWorker` */
  claimBehind?: (connection: Queryable, accountIds: readonly string[]) => Promise<unknown> | undefined
  /** longer than any request runs: one whose key has no answer by then was cut off; default 3 minutes */
  abandonedAfterMs?: number
  /** a transaction that requests shared has failed; each of them is tried alone then, and tells its caller the end */
  onShareFailed?: (error: unknown, requests: number) => void
}

/** requests a transaction, at most */
const MOST = 100
/** such transactions at a time: what comes while one is under way need not wait for it */
const AT_ONCE = 2

/** whoever holds a lock for longer holds up those who want it, not all who came with them: they are tried alone then */
const LOCK_TIMEOUT_MS = 500

export function createAcceptor({
  database,
  wake,
  claimBehind,
  abandonedAfterMs = 180_000,
  onShareFailed,
}: AcceptorOptions): Acceptor {
  async function transaction<T>(
    wanted: readonly Wanted[],
    work: Work<T>,
    options?: TransactionOptions,
  ): Promise<T> {
    const accountIds = [
      ...new Set(wanted.flatMap(({ input }) => (input instanceof PalomarError ? [] : [input.account_id]))),
    ]
    let claiming: Promise<unknown> | undefined
    const behind = (connection: Queryable) => {
      claiming = claimBehind?.(connection, accountIds)
      return claiming
    }
    const result = await retryConflict(() => database.transaction(work, { ...options, behind }))
    if (!claiming) wake(accountIds)
    return result
  }

  const take =
    (wanted: readonly Wanted[]): Work<(Message | PalomarError)[]> =>
    async (tx) => {
      const { results, statements } = await draftItems(tx, await checkItems(tx, wanted))
      return endWith(tx, statements, results)
    }

  const acceptTogether = createGather<Wanted, Message | PalomarError>({
    // So an account's messages leave in the order in which their requests came.
    keyOf: ({ tenantId, input }) => `${tenantId} ${input instanceof PalomarError ? '' : input.account_id}`,
    ...{ most: MOST, atOnce: AT_ONCE },
    run: (wanted) => transaction(wanted, take(wanted), { lockTimeoutMs: LOCK_TIMEOUT_MS }),
    onFailed: onShareFailed,
    runAlone: async (wanted) => (await transaction([wanted], take([wanted])))[0] as Message | PalomarError,
  })

  /** @param answerOf what it throws rolls all back, the key as well */
  async function acceptAlone(
    tenantId: string,
    wanted: readonly Wanted[],
    idempotency: IdempotencyKey | undefined,
    answerOf: (results: (Message | PalomarError)[]) => Answer | undefined,
  ): Promise<{ results: (Message | PalomarError)[] } | { answer: Answer }> {
    const work: Work<{ results: (Message | PalomarError)[] } | { answer: Answer }> = async (tx) => {
      // Sent together, since mostly the key is new.
      const [taken, items] = await together(
        takeFor(tx, tenantId, wanted, idempotency),
        checkItems(tx, wanted),
      )
      if ('answer' in taken) return { answer: taken.answer }
      const { results, statements }: Draft =
        'messageIds' in taken
          ? { results: await readMessages(tx, tenantId, taken.messageIds), statements: [] }
          : await draftItems(tx, items)
      const answer = answerOf(results)
      if (idempotency && answer) statements.push(finishingKey(tenantId, idempotency.key, answer))
      return endWith(tx, statements, { results })
    }
    return transaction(wanted, work)
  }

  async function takeFor(
    tx: PoolClient,
    tenantId: string,
    wanted: readonly Wanted[],
    idempotency: IdempotencyKey | undefined,
  ): Promise<Taken> {
    if (!idempotency) return { first: true }
    const ids = wanted.map(({ id }) => id)
    return takeKey(tx, tenantId, idempotency, ids, abandonedAfterMs)
  }

  return {
    // The id is chosen before the first try, so that a try whose commit was not answered cannot be stored twice.
    async accept(tenantId, input, { async, queue, idempotency, answer }, id = uuidv7()) {
      const wanted = { ...{ id, tenantId, input, async }, mustBeConnected: !async && !queue }
      if (!idempotency) return { message: messageOf(await acceptTogether(wanted)) }
      const accepted = await acceptAlone(tenantId, [wanted], idempotency, ([result]) => {
        const message = messageOf(result)
        return answer?.(message)
      })
      return 'answer' in accepted ? accepted : { message: messageOf(accepted.results[0]) }
    },
    acceptMany(tenantId, inputs, { async, queue, idempotency, answer }) {
      const mustBeConnected = !async && !queue
      const wanted = inputs.map((input) => ({ id: uuidv7(), tenantId, input, async, mustBeConnected }))
      return acceptAlone(tenantId, wanted, idempotency, (results) => answer?.(results))
    },
  }
}

function messageOf(result: Message | PalomarError | undefined): Message {
  if (result instanceof PalomarError) throw result
  if (!result) throw new PalomarError('message_not_found', 'what the first request made is gone')
  return result
}
