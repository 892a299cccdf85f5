/** What a driver is told of a new node. */
import type { NodeEnvironment } from '@palomar/session-node/contract'
import type { Config } from '../config.ts'
import type { Secrets } from '../secrets.ts'
import type { NodeSpec } from './runtime/runtime.ts'

export interface NodeSpecOptions {
  secrets: Pick<Secrets, 'nodeToken'>
  /** base URL at which nodes reach the internal API */
  orchestratorUrl: string
  config: Pick<Config, 'simulator' | 'logLevel'>
}

/** Returns the function that makes the spec of a node; host and port are the driver's own to choose. */
export function createNodeSpecs({ secrets, orchestratorUrl, config }: NodeSpecOptions) {
  return function specOf(sessionId: string, nodeId: string): NodeSpec {
    const env: Omit<NodeEnvironment, 'HOST' | 'PORT'> = {
      PALOMAR_SESSION_ID: sessionId,
      PALOMAR_NODE_ID: nodeId,
      PALOMAR_NODE_TOKEN: secrets.nodeToken(sessionId, nodeId),
      PALOMAR_ORCHESTRATOR_URL: orchestratorUrl,
      PALOMAR_LOG_LEVEL: config.logLevel,
    }
    const simulator = config.simulator && {
      PALOMAR_SIMULATOR_URL: config.simulator.url,
      PALOMAR_SIMULATOR_ROOT_KEY: config.simulator.rootKey,
    }
    return {
      name: `palomar-${nodeId}`,
      labels: { session_id: sessionId, node_id: nodeId },
      env: { ...env, ...simulator },
      bundle: simulator ? 'simulator' : 'production',
    }
  }
}
