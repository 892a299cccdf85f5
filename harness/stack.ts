/**
 * A whole Palomar on free ports, without a phone: Postgres, the simulated WhatsApp, the orchestrator, and sessions by
 * either driver. The demo, the end-to-end tests, the benchmarks and the chaos run all stand on this.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openRuntime, type RuntimeChoice } from './engine.ts'
import { type Links, linkSettings, openLinks } from './links.ts'
import { freePort, type OrchestratorProcess, startOrchestratorProcess } from './orchestrator-process.ts'
import { type PalomarClient, palomarClient } from './palomar-client.ts'
import { type PostgresProcess, startPostgresProcess } from './postgres-process.ts'
import { type SimulatorProcess, startSimulatorProcess } from './simulator-process.ts'

export interface StackOptions {
  runtime: RuntimeChoice
  addressing?: 'pn' | 'lid'
  seed?: number
  /** a Postgres database of the caller's; without it an embedded one is started and thrown away */
  databaseUrl?: string
  /** where the state lives while it runs; a temporary folder by default */
  dataDir?: string
  /** puts a proxy on each way between the parts, so that it can be disturbed */
  links?: boolean
  /** the label that its containers and network carry; a random one by default */
  installation?: string
  /** more settings of the orchestrator */
  env?: Record<string, string>
}

export interface Stack {
  runtime: RuntimeChoice
  client: PalomarClient
  simulator: SimulatorProcess
  orchestrator: OrchestratorProcess
  /** past the links, if there are any */
  databaseUrl: string
  /** the stack's own Postgres; undefined when the caller gave one */
  postgres: PostgresProcess | undefined
  links: Links | undefined
  installation: string
  logFile: string
  dataDir: string
  /** ends and removes all of it: processes, containers, network, data */
  close(): Promise<void>
}

/** Starts everything; on a failure what had been started is taken down before it throws. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const undo: (() => Promise<unknown>)[] = []
  const close = async () => {
    const failures: unknown[] = []
    for (const step of undo.splice(0).reverse()) await step().catch((error) => failures.push(error))
    if (failures.length > 0) throw new AggregateError(failures, 'the stack did not come down cleanly')
  }
  try {
    const dataDir = options.dataDir ?? (await mkdtemp(path.join(tmpdir(), 'palomar-stack-')))
    await mkdir(dataDir, { recursive: true })
    undo.push(() => rm(dataDir, { recursive: true, force: true }))
    const installation = options.installation ?? `palomar-${randomBytes(4).toString('hex')}`
    const { simulatorHost, cleanUp } = await openRuntime(options.runtime, { installation, dataDir })
    undo.push(cleanUp)
    const postgres = options.databaseUrl ? undefined : await startPostgresProcess(dataDir)
    if (postgres) undo.push(() => postgres.stop())
    const databaseUrl = options.databaseUrl ?? (postgres as PostgresProcess).url
    const simulator = await startSimulatorProcess({
      host: simulatorHost,
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      addressing: options.addressing ?? 'pn',
    })
    undo.push(() => simulator.stop())
    const key = `demo_${randomBytes(24).toString('base64url')}`
    const [httpPort, internalPort] = [await freePort(), await freePort()]
    const links = options.links
      ? await openLinks({
          databaseUrl,
          host: simulatorHost,
          internalPort,
          waUrl: simulator.waUrl,
          seed: options.seed ?? 1,
        })
      : undefined
    for (const link of Object.values(links ?? {})) undo.push(() => link.close())
    const logFile = path.join(dataDir, 'orchestrator.log')
    const orchestrator = await startOrchestratorProcess({
      logFile,
      env: {
        PALOMAR_DATA_DIR: dataDir,
        PALOMAR_HTTP_PORT: String(httpPort),
        PALOMAR_INTERNAL_PORT: String(internalPort),
        PALOMAR_ADMIN_KEY: key,
        PALOMAR_RUNTIME: options.runtime,
        PALOMAR_INSTALLATION: installation,
        PALOMAR_SIMULATOR_URL: simulator.waUrl,
        PALOMAR_SIMULATOR_ROOT_KEY: simulator.rootKey,
        DATABASE_URL: databaseUrl,
        ...(links ? linkSettings(links, databaseUrl, simulator.waUrl) : {}),
        ...options.env,
      },
    })
    undo.push(() => orchestrator.stop())
    const client = palomarClient(orchestrator.url, key)
    return {
      runtime: options.runtime,
      client,
      simulator,
      orchestrator,
      databaseUrl,
      postgres,
      links,
      installation,
      logFile,
      dataDir,
      close,
    }
  } catch (error) {
    await close().catch((failure) => console.error(failure))
    throw error
  }
}
