/** The environment of a node: everything it is told at birth. */
import { z } from 'zod'

export const nodeEnvironment = z.object({
  PALOMAR_SESSION_ID: z.string().min(1),
  PALOMAR_NODE_ID: z.string().min(1),
  /** proves the node to the orchestrator and the orchestrator to the node */
  PALOMAR_NODE_TOKEN: z.string().min(16),
  /** base URL of the orchestrator's internal API */
  PALOMAR_ORCHESTRATOR_URL: z.url(),
  PALOMAR_LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  HOST: z.string().default('0.0.0.0'),
  /** 0: any free port, told to the parent over IPC */
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
})
export type NodeEnvironment = z.infer<typeof nodeEnvironment>
