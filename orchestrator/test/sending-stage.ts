/** Sending, from the accepted message to its end, against small nodes that fail as they are told (contract-node.ts). */
import { type CommitRequestInput, commitRequest, type NodeEventInput } from '@palomar/session-node/contract'
import { createFanOut } from '../src/events/fan-out.ts'
import { createIngest } from '../src/events/ingest.ts'
import type { StoredEvent } from '../src/events/types.ts'
import { createLogger } from '../src/logger.ts'
import { type AcceptOptions, createAcceptor } from '../src/messages/accept-message.ts'
import { createCircuitBreaker } from '../src/messages/circuit-breaker.ts'
import { type MessageInput, messageInput } from '../src/messages/message-input.ts'
import { readMessage } from '../src/messages/message-queries.ts'
import type { Message } from '../src/messages/message-schemas.ts'
import { createSendPlaces } from '../src/messages/send-places.ts'
import { createSendWorker } from '../src/messages/send-worker.ts'
import { createEndWaiter } from '../src/messages/wait-for-end.ts'
import { createMetrics } from '../src/metrics.ts'
import { createNodeClients } from '../src/nodes/node-clients.ts'
import { createSecrets } from '../src/secrets.ts'
import { createInboxStore } from '../src/sessions/inbox-store.ts'
import { createKeyStore } from '../src/sessions/key-store.ts'
import { acknowledged, type ContractNode, startContractNode } from './contract-node.ts'
import { createTestDatabase } from './database.ts'
import { createNode, createSession, type SessionFixture } from './session-fixture.ts'

export interface Account extends SessionFixture {
  node: ContractNode
}

export type SendingStage = Awaited<ReturnType<typeof setSendingStage>>

/** A database of its own, and its lanes at work; three failures in a row make an account rest. */
export async function setSendingStage(options: { commitMs?: number } = {}) {
  const database = await createTestDatabase()
  const secrets = createSecrets(Buffer.alloc(32, 1))
  const logger = createLogger('error', true)
  const metrics = createMetrics()
  const fanOut = createFanOut(logger)
  const events: StoredEvent[] = []
  fanOut.subscribe((more) => void events.push(...more))
  const clients = createNodeClients(secrets)
  const ends = createEndWaiter({ db: database.pool, fanOut })
  const worker = createSendWorker({
    ...{ database, clients, fanOut, ends, logger, metrics, paceMs: 0, ackTimeoutMs: 300, ...options },
    breaker: createCircuitBreaker({ failures: 3, firstMs: 600_000 }),
    places: createSendPlaces(),
  })
  const acceptor = createAcceptor({ database, wake: worker.wake, claimBehind: worker.claimBehind })
  const ingest = createIngest({
    ...{ database, keys: createKeyStore(secrets), inbox: createInboxStore(secrets), fanOut, logger, metrics },
    onCommitted: [
      ({ accountId, reports }) => {
        if (reports.some((report) => report.type === 'state' && report.state === 'active'))
          void worker.resume(accountId)
      },
    ],
  })
  const nodes: ContractNode[] = []
  const seqs = new Map<string, number>()
  worker.start()

  const input = ({ accountId }: SessionFixture, body = 'hi', more: Partial<MessageInput> = {}) =>
    messageInput.parse({
      account_id: accountId,
      to: '+49 170 0000001',
      type: 'text',
      text: { body },
      ...more,
    })

  async function commit(one: Account, body: Partial<CommitRequestInput>): Promise<void> {
    const seq = (seqs.get(one.sessionId) ?? 0) + 1
    seqs.set(one.sessionId, seq)
    await ingest.applyCommit(one.sessionId, commitRequest.parse({ generation: 1, seq, ...body }))
  }

  async function jobsOf({ accountId }: Account): Promise<{ state: string; attempts: number }[]> {
    const text = 'select state, attempts from lane_job where key = $1 order by id'
    return (await database.pool.query(text, [`out:${accountId}`])).rows
  }

  return {
    database,
    events,
    ends,
    jobsOf,
    async account(state: 'active' | 'reconnecting' = 'active'): Promise<Account> {
      const fixture = await createSession(database, { state })
      const node = await startContractNode()
      nodes.push(node)
      const nodeId = await createNode(database, fixture)
      await database.pool.query('update node set address = $2 where id = $1', [nodeId, node.address])
      await database.pool.query('update session set generation = 1 where id = $1', [fixture.sessionId])
      return { ...fixture, node }
    },
    async accept(one: Account, body?: string, more?: Partial<MessageInput>): Promise<Message> {
      const options = { async: false, queue: true }
      const accepted = await acceptor.accept(one.tenantId, input(one, body, more), options)
      if (!('message' in accepted)) throw new Error('no message')
      return accepted.message
    },
    /** in one transaction, so that the lane has all of them from the start */
    async acceptAll(one: Account, ...bodies: string[]): Promise<Message[]> {
      const inputs = bodies.map((body) => input(one, body))
      const options: AcceptOptions<unknown> = { async: true, queue: true }
      const accepted = await acceptor.acceptMany(one.tenantId, inputs, options)
      if (!('results' in accepted)) throw new Error('no messages')
      return accepted.results as Message[]
    },
    /** the next commit of the account's node */
    commit,
    /** what the account's node says in its next commit */
    report: (one: Account, ...events: NodeEventInput[]): Promise<void> => commit(one, { events }),
    read: ({ tenantId }: Account, { id }: Message) => readMessage(database.pool, tenantId, id),
    end: ({ tenantId }: Account, { id }: Message) => ends.waitForEnd(tenantId, id, 10_000),
    typesOf: ({ id }: Message) =>
      events.filter(({ data }) => (data.message as Message | undefined)?.id === id).map(({ type }) => type),
    /** why its lane rests, once it does */
    async paused({ accountId }: Account): Promise<string> {
      const text = 'select paused_reason from lane where key = $1 and paused_until is not null'
      for (;;) {
        const { rows } = await database.pool.query(text, [`out:${accountId}`])
        if (rows[0]) return rows[0].paused_reason
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    async strike(): Promise<void> {
      for (const node of nodes) node.answer = acknowledged
      await worker.stop(10_000)
      await clients.closeAll()
      await Promise.all(nodes.map((node) => node.close()))
    },
  }
}
