import { z } from 'zod'
import { nodeEnvironment } from '../../contract/index.ts'
import { exitCodes, FatalError } from '../errors.ts'
import { readSimulatorTarget, type SimulatorTarget } from './simulator-target.ts'

export type Environment = z.infer<typeof nodeEnvironment> & {
  /** a WhatsApp of our own; undefined: the real one, always so in the production build */
  simulator: SimulatorTarget | undefined
}

/** Everything the node is told at birth, or one line that says what is wrong. */
export const readEnvironment = (variables: NodeJS.ProcessEnv): Environment => {
  const parsed = nodeEnvironment.safeParse(variables)
  if (!parsed.success) {
    throw new FatalError(
      exitCodes.badEnvironment,
      `The environment is incomplete: ${z.prettifyError(parsed.error)}`,
    )
  }
  return { ...parsed.data, simulator: readSimulatorTarget(variables) }
}
