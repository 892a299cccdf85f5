/** What is true of a node now: as its driver says, and as it says itself. */
import type { Logger } from '../logger.ts'
import type { NodeClients } from '../nodes/node-clients.ts'
import { type NodeRow, saveWhereabouts } from '../nodes/node-rows.ts'
import type { ListedNode, NodeStatus, Runtime } from '../nodes/runtime/runtime.ts'
import { within } from './deadline.ts'
import type { SessionTransactions } from './session-transaction.ts'

export interface NodeObserverOptions extends Pick<SessionTransactions, 'database'> {
  runtime: Runtime
  clients: NodeClients
  logger: Logger
  /** bound of each call of the driver */
  callMs: number
}

/** by node id */
export type Listing = ReadonlyMap<string, ListedNode>

export function createNodeObserver({ database, runtime, clients, logger, callMs }: NodeObserverOptions) {
  const fieldsOf = (node: NodeRow) => ({ session_id: node.sessionId, node_id: node.id })

  async function list(): Promise<Listing> {
    const nodes = await within(callMs, 'the listing of nodes', runtime.list())
    return new Map(nodes.map((node) => [node.labels.node_id ?? node.name, node]))
  }

  /** Without a handle, an earlier start did not get to its end: the node is known by its label alone, if there is one. */
  async function find(node: NodeRow, listing: Listing | undefined): Promise<NodeStatus> {
    const found = (listing ?? (await list())).get(node.id)
    if (!found) return { status: 'gone' }
    node.handle = found.handle
    if (found.status.status === 'running')
      await saveWhereabouts(database.pool, node.id, found.handle, found.status.address)
    return found.status
  }

  return {
    /** Every node of the engine. Throws when it does not answer. */
    list,

    /** Never throws: what cannot be known is `unknown`. Completes `node.handle` when the driver has found the node. */
    async observe(node: NodeRow, listing?: Listing): Promise<NodeStatus> {
      try {
        if (!node.handle) return await find(node, listing)
        const listed = listing?.get(node.id)?.status
        if (listed) return listed
        return await within(callMs, 'the inspection of a node', runtime.inspect(node.handle))
      } catch (error) {
        logger.warn('the driver does not tell of a node', { ...fieldsOf(node), error })
        return { status: 'unknown', reason: error instanceof Error ? error.message : String(error) }
      }
    },

    /** An address may have passed to another node meanwhile, so it must say who it is. */
    async isHealthy(node: NodeRow, address: string): Promise<boolean> {
      try {
        const client = clients.of({ nodeId: node.id, sessionId: node.sessionId, address })
        const health = await client.health()
        return health.node_id === node.id && health.session_id === node.sessionId
      } catch (error) {
        logger.debug('a node does not answer its probe', { ...fieldsOf(node), error })
        return false
      }
    },
  }
}
