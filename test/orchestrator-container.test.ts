import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openRuntime } from '../harness/engine.ts'
import { freePort } from '../harness/orchestrator-process.ts'
import { pairAccount } from '../harness/pairing.ts'
import { openEvents, palomarClient, until } from '../harness/palomar-client.ts'
import { startSimulatorProcess } from '../harness/simulator-process.ts'
import type { Stack } from '../harness/stack.ts'
import { detectEngine } from '../orchestrator/src/nodes/runtime/engine.ts'
import { createEmptyDatabase, dropDatabase } from '../orchestrator/test/database.ts'

const run = promisify(execFile)
const root = path.resolve(import.meta.dirname, '..')
const engine = await detectEngine()
const { version } = JSON.parse(
  await (await import('node:fs/promises')).readFile(path.join(root, 'package.json'), 'utf8'),
)

/** As docker-compose.yml runs it: the machine's own network, no capability, a read-only root, the engine's socket. */
describe.skipIf(!engine)(
  `the orchestrator in its own image${engine ? '' : ' (skipped: no container engine answers)'}`,
  () => {
    const installation = `palomar-ctr-${process.pid}`
    const name = `${installation}-orchestrator`
    const key = `test_${'k'.repeat(32)}`
    const undo: (() => Promise<unknown>)[] = []
    let stack: Pick<Stack, 'client' | 'simulator'>

    beforeAll(async () => {
      await run(process.execPath, ['--import', import.meta.resolve('tsx'), 'scripts/build-images.ts'], {
        cwd: root,
      })
      const dataDir = mkdtempSync(path.join(tmpdir(), 'palomar-ctr-'))
      undo.push(async () => rmSync(dataDir, { recursive: true }))
      const database = await createEmptyDatabase()
      undo.push(() => dropDatabase(database))
      const { simulatorHost, cleanUp } = await openRuntime('docker', { installation, dataDir })
      undo.push(cleanUp)
      const simulator = await startSimulatorProcess({ host: simulatorHost })
      undo.push(() => simulator.stop())
      const port = await freePort()
      const env = {
        DATABASE_URL: database,
        PALOMAR_RUNTIME: 'docker',
        PALOMAR_INSTALLATION: installation,
        PALOMAR_SESSION_IMAGE: `palomar/session-node-simulator:${version}`,
        PALOMAR_SIMULATOR_URL: simulator.waUrl,
        PALOMAR_SIMULATOR_ROOT_KEY: simulator.rootKey,
        PALOMAR_HTTP_PORT: String(port),
        PALOMAR_INTERNAL_PORT: String(await freePort()),
        PALOMAR_ADMIN_KEY: key,
      }
      const options = [
        '--detach',
        '--name',
        name,
        '--network',
        'host',
        '--user',
        '0:0',
        '--cap-drop',
        'ALL',
        '--read-only',
      ]
      options.push('--security-opt', 'no-new-privileges', '--tmpfs', '/tmp', '--tmpfs', '/data')
      options.push('--volume', '/var/run/docker.sock:/var/run/docker.sock')
      for (const [variable, value] of Object.entries(env)) options.push('--env', `${variable}=${value}`)
      await run('docker', ['run', ...options, `palomar/orchestrator:${version}`])
      undo.push(() => run('docker', ['rm', '--force', '--volumes', name]))
      const client = palomarClient(`http://127.0.0.1:${port}`, key)
      stack = { client, simulator }
      const healthy = () =>
        fetch(`${client.url}/health`).then(
          (response) => response.ok,
          () => false,
        )
      await until('a healthy orchestrator', healthy, Boolean, 60_000).catch(async (error) => {
        throw new Error((await run('docker', ['logs', name])).stderr, { cause: error })
      })
    })
    afterAll(async () => {
      for (const step of undo.reverse()) await step()
    })

    test('reaches its sessions, and they reach it: paired, sent, received', async () => {
      const events = await openEvents(stack.client)
      const [ana, rui] = [await pairAccount(stack, events, 'Ana'), await pairAccount(stack, events, 'Rui')]
      const sent = await stack.client.request<{ status: string }>('POST', '/api/messages', {
        account_id: ana.id,
        to: rui.phone,
        type: 'text',
        text: { body: 'from a container' },
      })
      expect(sent.status).toBe(201)
      await events.waitFor(
        'the text',
        (event) => event.type === 'message.received' && event.account_id === rui.id,
      )
      events.close()
    })

    test('no session has the engine’s socket, and none reaches another', async () => {
      const list = ['ps', '-q', '--filter', `label=palomar.installation=${installation}`]
      const ids = (await run('docker', list)).stdout.trim().split('\n')
      expect(ids).toHaveLength(2)
      const inspected = JSON.parse((await run('docker', ['inspect', ...ids])).stdout) as {
        Mounts: { Source: string }[]
        HostConfig: { Binds: string[] | null; ReadonlyRootfs: boolean; CapDrop: string[] }
        NetworkSettings: { Networks: Record<string, { IPAddress: string }> }
      }[]
      for (const { Mounts, HostConfig } of inspected) {
        expect({ Mounts, binds: HostConfig.Binds ?? [] }).toEqual({ Mounts: [], binds: [] })
        expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'] })
      }
      const other = Object.values(inspected[1]?.NetworkSettings.Networks ?? {})[0]?.IPAddress
      const probe = `fetch('http://${other}:3000/health',{signal:AbortSignal.timeout(2000)}).then(()=>console.log('reached'),()=>console.log('not'))`
      const { stdout } = await run('docker', ['exec', ids[0] ?? '', 'node', '-e', probe])
      expect(stdout.trim()).toBe('not')
      expect((await fetch(`http://${other}:3000/health`)).status).toBe(401)
    })
  },
)
