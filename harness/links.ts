/** What stands between the parts of a stack when it is to be disturbed: a proxy on each way that they have. */
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

export const linkNames = ['database', 'internal', 'simulator'] as const
/** orchestrator → Postgres; nodes → the orchestrator's internal API; nodes → the simulated WhatsApp */
export type LinkName = (typeof linkNames)[number]
export type Links = Record<LinkName, TcpProxy>

export interface LinkTargets {
  databaseUrl: string
  /** where the internal API listens, and where nodes reach this machine */
  host: string
  internalPort: number
  waUrl: string
  seed: number
}

/** Starts a proxy before each target. */
export async function openLinks(targets: LinkTargets): Promise<Links> {
  const { databaseUrl, host, internalPort, waUrl, seed } = targets
  const at = (url: string) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) })
  const [database, internal, simulator] = await Promise.all([
    startTcpProxy({ target: at(databaseUrl), seed }),
    startTcpProxy({ target: { host, port: internalPort }, host, seed: seed + 1 }),
    startTcpProxy({ target: at(waUrl), host, seed: seed + 2 }),
  ])
  return { database, internal, simulator }
}

/** The orchestrator's settings that lead through them. */
export function linkSettings(links: Links, databaseUrl: string, waUrl: string): Record<string, string> {
  return {
    DATABASE_URL: through(databaseUrl, links.database),
    PALOMAR_INTERNAL_URL: `http://${links.internal.host}:${links.internal.port}`,
    PALOMAR_SIMULATOR_URL: through(waUrl, links.simulator),
  }
}

function through(url: string, { host, port }: TcpProxy): string {
  const changed = new URL(url)
  changed.hostname = host
  changed.port = String(port)
  return changed.toString()
}
