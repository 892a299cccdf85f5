import { z } from 'zod'

/** set by the build; a build for production does not even contain the names of the variables below */
declare const SIMULATOR_BUILD: boolean

export interface SimulatorTarget {
  url: string
  /** the simulator's root certificate key, which stands in for WhatsApp's in the handshake */
  rootKey: Buffer
}

export const readSimulatorTarget = (variables: NodeJS.ProcessEnv): SimulatorTarget | undefined => {
  // sources that were not built talk to WhatsApp only, as the production build does
  if (typeof SIMULATOR_BUILD !== 'undefined' && SIMULATOR_BUILD) {
    const { PALOMAR_SIMULATOR_URL, PALOMAR_SIMULATOR_ROOT_KEY } = z
      .object({
        PALOMAR_SIMULATOR_URL: z.url({ protocol: /^wss?$/ }),
        PALOMAR_SIMULATOR_ROOT_KEY: z
          .base64()
          .refine((key) => Buffer.from(key, 'base64').length === 32, '32 bytes in base64'),
      })
      .parse(variables)
    return { url: PALOMAR_SIMULATOR_URL, rootKey: Buffer.from(PALOMAR_SIMULATOR_ROOT_KEY, 'base64') }
  }
  return undefined
}
