/** The clients of all nodes: one kept open for each node, until the node is gone or has moved. */
import type { Secrets } from '../secrets.ts'
import { createNodeClient, type NodeClient } from './node-client.ts'

export interface NodeRef {
  nodeId: string
  sessionId: string
  /** base URL, as the driver gave it */
  address: string
}

export interface NodeClients {
  /** The node's client; a new one when its address has changed. */
  of(node: NodeRef): NodeClient
  /** For a node that has gone. */
  close(nodeId: string): Promise<void>
  closeAll(): Promise<void>
}

export function createNodeClients(secrets: Pick<Secrets, 'nodeToken'>): NodeClients {
  const clients = new Map<string, NodeClient>()

  async function close(nodeId: string): Promise<void> {
    const client = clients.get(nodeId)
    clients.delete(nodeId)
    await client?.close()
  }

  return {
    of({ nodeId, sessionId, address }) {
      const known = clients.get(nodeId)
      if (known?.address === address) return known
      // Its calls fail as unanswered: they went to where the node no longer is.
      void known?.close()
      const client = createNodeClient(address, secrets.nodeToken(sessionId, nodeId))
      clients.set(nodeId, client)
      return client
    },
    close,
    async closeAll() {
      await Promise.all([...clients.keys()].map(close))
    },
  }
}
