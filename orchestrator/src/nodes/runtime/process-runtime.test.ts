import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { logPath } from './log-files.ts'
import { identityOf } from './process-identity.ts'
import { ProcessRuntime } from './process-runtime.ts'
import type { StartedNode } from './runtime.ts'
import { ask, newSpec, reaches, runtimeContract, startHealthy } from './runtime-contract.ts'

const fixture = fileURLToPath(new URL('./fixture-node.mjs', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'palomar-processes-'))
const bundles = { production: fixture }
const module = new URL('./process-runtime.ts', import.meta.url).href
const unexpected: unknown[] = []
const onError = (error: unknown) => void unexpected.push(error)

async function open(dataDir: string, options: { maxLogBytes?: number; startTimeoutMs?: number } = {}) {
  const runtime = new ProcessRuntime({ dataDir, bundles, onError, ...options })
  await runtime.prepare()
  return runtime
}

afterAll(async () => {
  await rm(folder, { recursive: true })
  expect(unexpected).toEqual([])
})

runtimeContract(
  'the process driver',
  {
    open: () => open(join(folder, 'contract')),
    openUnanswering: async () => new ProcessRuntime({ dataDir: join(folder, 'unmounted'), bundles }),
    dispose: async () => expect(await readdir(join(folder, 'contract', 'nodes'))).toEqual([]),
  },
  { real: true },
)

describe('the process driver', { timeout: 30_000 }, () => {
  const dataDir = join(folder, 'own')
  let runtime: ProcessRuntime

  beforeAll(async () => {
    runtime = await open(dataDir, { maxLogBytes: 20_000, startTimeoutMs: 3_000 })
  })
  afterEach(async () => {
    for (const node of await runtime.list()) await runtime.stop(node.handle, 0)
  })
  afterAll(() => runtime.close())

  test('a node gets its own environment and nothing of the orchestrator', async () => {
    vi.stubEnv('DATABASE_URL', 'postgres://secret')
    const { address } = await startHealthy(runtime, newSpec({ PALOMAR_SESSION_ID: 's1' }))
    vi.unstubAllEnvs()
    const { PATH, NODE_CHANNEL_FD, NODE_CHANNEL_SERIALIZATION_MODE, ...rest } = await ask(address, 'env')
    expect(PATH).toBe(process.env.PATH)
    expect(rest).toEqual({
      PALOMAR_SESSION_ID: 's1',
      HOST: '127.0.0.1',
      PORT: '0',
      MALLOC_ARENA_MAX: '1',
      UV_THREADPOOL_SIZE: '1',
    })
  })

  test('a node goes after what all sessions wait for, wherever the system counts priorities', async () => {
    const { spec } = await startHealthy(runtime)
    const { pid } = JSON.parse(await readFile(join(dataDir, 'nodes', spec.name, 'state.json'), 'utf8'))
    expect(getPriority(pid)).toBe(getPriority() + 5)
    const group = await readFile(`/proc/${pid}/autogroup`, 'utf8').catch(() => 'none')
    if (group !== 'none') expect(group).toMatch(/nice 5\n$/)
  })

  test('a node that ends before it tells its port is a failed start with its last words, and leaves nothing', async () => {
    const starting = runtime.start(newSpec({ FAIL_AT_START: 'no token' }))
    await expect(starting).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringMatching(/exit code 9.*no token/s),
    })
    expect(await runtime.list()).toEqual([])
  })

  test('a node that never tells its port is killed', async () => {
    const spec = newSpec({ NEVER_LISTEN: '1' })
    const starting = runtime.start(spec)
    starting.catch(() => undefined)
    const pid = await vi.waitFor(async () => {
      const state = JSON.parse(await readFile(join(dataDir, 'nodes', spec.name, 'state.json'), 'utf8'))
      return state.pid as number
    })
    expect(await runtime.list()).toMatchObject([{ status: { status: 'unknown' } }])
    await expect(starting).rejects.toMatchObject({ code: 'start_timeout' })
    expect(await identityOf(pid)).toBeUndefined()
    expect(await runtime.list()).toEqual([])
  })

  test('a missing bundle is told with what to do', async () => {
    const bundles = { production: join(folder, 'missing.mjs') }
    await expect(new ProcessRuntime({ dataDir, bundles }).prepare()).rejects.toMatchObject({
      code: 'bundle_missing',
      message: expect.stringContaining('build'),
    })
    const simulator = { ...newSpec(), bundle: 'simulator' as const }
    await expect(runtime.start(simulator)).rejects.toMatchObject({ code: 'bundle_missing' })
  })

  test('a pid that now belongs to another process is never taken for the node, nor killed', async () => {
    const { handle, spec } = await startHealthy(runtime)
    const path = join(dataDir, 'nodes', spec.name, 'state.json')
    const state = JSON.parse(await readFile(path, 'utf8'))
    await writeFile(path, JSON.stringify({ ...state, pid: process.pid }))
    const stolen = { ...handle, pid: process.pid }
    const restarted = await open(dataDir)
    expect(await restarted.inspect(stolen)).toMatchObject({ status: 'exited', exitCode: null })
    await restarted.stop(stolen, 0)
    await restarted.close()
    process.kill(state.pid, 'SIGKILL')
    await vi.waitFor(async () => expect(await identityOf(state.pid)).toBeUndefined())
  })

  test('a handle of an earlier node of the name does not reach the later one', async () => {
    const { handle, address, spec } = await startHealthy(runtime)
    await ask(address, 'exit', { code: '1' })
    await reaches(runtime, handle, 'exited')
    const later = await startHealthy(runtime, spec)
    expect(await runtime.inspect(handle)).toEqual({ status: 'gone' })
    await runtime.stop(handle, 0)
    expect(await runtime.inspect(later.handle)).toMatchObject({ status: 'running' })
  })

  test('a name cannot leave the folder of nodes', async () => {
    await expect(runtime.start({ ...newSpec(), name: '../escaped' })).rejects.toMatchObject({
      code: 'start_failed',
    })
    expect(await runtime.inspect({ name: '../own' })).toEqual({ status: 'gone' })
  })

  test('a state that cannot be read is unknown, and does not hide the others', async () => {
    const { spec } = await startHealthy(runtime)
    const broken = join(dataDir, 'nodes', 'palomar-broken')
    await mkdir(broken)
    await writeFile(join(broken, 'state.json'), '{')
    const statuses = Object.fromEntries((await runtime.list()).map((node) => [node.name, node.status.status]))
    await rm(broken, { recursive: true })
    expect(statuses).toEqual({ [spec.name]: 'running', 'palomar-broken': 'unknown' })
  })

  test('logs stay bounded, and a follower reads across the rotation', async () => {
    const { handle, address, spec } = await startHealthy(runtime)
    const path = logPath(join(dataDir, 'nodes', spec.name), 'stdout')
    const seen: string[] = []
    const following = (async () => {
      for await (const line of runtime.logs(handle, { follow: true })) seen.push(line.text)
    })()
    await ask(address, 'print', { text: 'before', count: '1000' })
    await vi.waitFor(async () => expect((await stat(`${path}.1`)).size).toBeGreaterThan(20_000), 15_000)
    await vi.waitFor(async () => expect((await stat(path)).size).toBeLessThan(20_000), 15_000)
    await ask(address, 'print', { text: 'after' })
    await ask(address, 'exit', { code: '0' })
    await following
    expect(seen).toHaveLength(1002)
    expect(seen.at(-1)).toContain('after')
  })

  test('a node survives kill -9 of its orchestrator, and is adopted', async () => {
    const { handle, address } = await startInAnotherProcess(dataDir)
    expect(await ask(address, 'health')).toMatchObject({ ok: true })
    const exits: unknown[] = []
    const unwatch = runtime.watch((exit) => exits.push(exit))
    expect(await runtime.list()).toMatchObject([{ handle, status: { status: 'running', address } }])
    await ask(address, 'exit', { code: '6' })
    await vi.waitFor(() => expect(exits).toHaveLength(1), 10_000)
    unwatch()
    expect(exits).toMatchObject([{ handle, exitCode: null }])
    expect(await runtime.inspect(handle)).toMatchObject({ status: 'exited', exitCode: null })
  })
})

test('a program that only starts and stops nodes ends by itself, not before', {
  timeout: 20_000,
}, async () => {
  const program = runProgram(`
    import { ProcessRuntime } from ${JSON.stringify(module)}
    const runtime = new ProcessRuntime(${JSON.stringify({ dataDir: join(folder, 'alone'), bundles })})
    await runtime.prepare()
    const { handle } = await runtime.start(${JSON.stringify(newSpec())})
    await runtime.stop(handle, 5_000)
    console.log((await runtime.inspect(handle)).status)`)
  const lines = createInterface({ input: program.stdout })
  const printed = once(lines, 'line')
  expect(await once(program, 'exit')).toEqual([0, null])
  expect(await printed).toEqual(['gone'])
})

test.runIf(process.platform === 'linux')('a zombie is not alive', async () => {
  // `sleep` takes the shell's place, and never asks for the child that the shell has left to it.
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    const [line] = await once(createInterface({ input: parent.stdout }), 'line')
    const pid = Number(line)
    await vi.waitFor(async () => expect(await readFile(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n'))
    expect(await identityOf(pid)).toBeDefined()
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(async () => expect(await readFile(`/proc/${pid}/stat`, 'utf8')).toMatch(/^\d+ \(.*\) Z/))
    expect(await identityOf(pid)).toBeUndefined()
    expect(await identityOf(parent.pid ?? 0)).toBeDefined()
  } finally {
    parent.kill('SIGKILL')
    await once(parent, 'exit')
  }
})

/** Starts a node from an orchestrator of its own, which is then killed. */
async function startInAnotherProcess(dataDir: string): Promise<StartedNode> {
  const orchestrator = runProgram(`
    import { ProcessRuntime } from ${JSON.stringify(module)}
    const runtime = new ProcessRuntime(${JSON.stringify({ dataDir, bundles })})
    await runtime.prepare()
    console.log(JSON.stringify(await runtime.start(${JSON.stringify(newSpec())})))
    setInterval(() => undefined, 1000)`)
  const [line] = await once(createInterface({ input: orchestrator.stdout }), 'line')
  orchestrator.kill('SIGKILL')
  await once(orchestrator, 'exit')
  return JSON.parse(String(line)) as StartedNode
}

function runProgram(program: string) {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', program]
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}
