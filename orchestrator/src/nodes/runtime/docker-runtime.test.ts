import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  describeWithEngine,
  engineSocket,
  fixtureProgram,
  hasEngine,
  imageRecipes,
  runId,
} from './docker-fixture.ts'
import { DockerRuntime, type DockerRuntimeOptions } from './docker-runtime.ts'
import type { Reach } from './docker-status.ts'
import { connectEngine, detectEngine } from './engine.ts'
import { type EngineProxy, proxyEngine } from './engine-proxy.ts'
import { ensureImage } from './image.ts'
import type { NodeExit } from './runtime.ts'
import { ask, newSpec, reaches, runtimeContract, startHealthy } from './runtime-contract.ts'

const tag = `palomar/session-node-fixture:${runId}`
const docker = connectEngine()
let folder: string
let silent: EngineProxy
const unexpected: unknown[] = []

function make(options: Partial<DockerRuntimeOptions> & { installation: string }) {
  return new DockerRuntime({
    images: { production: tag },
    onError: (error) => unexpected.push(error),
    ...options,
  })
}

async function open(options: Partial<DockerRuntimeOptions> & { installation: string }) {
  const runtime = make(options)
  await runtime.prepare()
  return runtime
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'palomar-docker-'))
  silent = await proxyEngine(join(folder, 'silent.sock'))
  if (hasEngine) await ensureImage({ tag, bundle: fixtureProgram, recipes: imageRecipes })
}, 180_000)

afterAll(async () => {
  await silent.close()
  await rm(folder, { recursive: true })
  if (hasEngine) await docker.getImage(tag).remove()
  expect(unexpected).toEqual([])
})

describe.each<Reach>(['bridge', 'published'])('reached by %s', (reach) => {
  const installation = `test-${reach}-${runId}`

  describeWithEngine('the docker driver', () => {
    runtimeContract(
      `the docker driver (${reach})`,
      {
        open: () => open({ installation, reach }),
        openUnanswering: async () =>
          make({ installation, reach, dockerHost: silent.dockerHost, timeoutMs: 300 }),
        dispose: () => make({ installation, reach }).dispose(),
      },
      { real: true },
    )
  })

  describeWithEngine('a container', () => {
    const own = { installation: `${installation}-own`, reach }
    let runtime: DockerRuntime

    beforeAll(async () => {
      runtime = await open(own)
    })
    afterEach(async () => {
      for (const node of await runtime.list()) await runtime.stop(node.handle, 0)
    })
    afterAll(async () => {
      await runtime.close()
      await runtime.dispose()
    })

    const ipOf = async (id: unknown) => {
      const { NetworkSettings } = await docker.getContainer(String(id)).inspect()
      return String(NetworkSettings.Networks[`palomar-${own.installation}`]?.IPAddress)
    }

    test('reaches no other node, by its address or by its published port', async () => {
      const [one, other] = await Promise.all([startHealthy(runtime), startHealthy(runtime)])
      const otherIp = await ipOf(other.handle.id)
      // This machine does reach it there: it is the network that keeps the nodes apart.
      expect(await ask(`http://${otherIp}:3000`, 'health')).toMatchObject({ ok: true })
      expect(await ask(one.address, 'dial', { host: otherIp, port: '3000' })).toMatchObject({ ok: false })
      const port = new URL(other.address).port
      expect(await ask(one.address, 'dial', { host: 'host.docker.internal', port })).toMatchObject({
        ok: false,
      })
    })

    test('reaches the orchestrator at the name that prepare tells', async () => {
      const { listenHost, callbackHost } = await runtime.prepare()
      const orchestrator = createServer((_request, response) => void response.end())
      await new Promise<void>((resolve) => orchestrator.listen(0, listenHost, resolve))
      const port = String((orchestrator.address() as AddressInfo).port)
      const { address } = await startHealthy(runtime)
      expect(await ask(address, 'dial', { host: callbackHost, port })).toEqual({ ok: true })
      await new Promise((resolve) => orchestrator.close(resolve))
    })

    test('has no rights, no disk and no engine', async () => {
      const { address } = await startHealthy(runtime)
      expect(await ask(address, 'health')).toMatchObject({ uid: 10001, gid: 10001 })
      for (const path of ['/x', '/app/x', '/usr/local/bin/node'])
        expect(await ask(address, 'write', { path })).toEqual({ ok: false, code: 'EROFS' })
      expect(await ask(address, 'write', { path: '/tmp/x' })).toEqual({ ok: true })
      for (const path of ['/var/run/docker.sock', '/run/docker.sock'])
        expect(await ask(address, 'dial', { path })).toEqual({ ok: false, code: 'ENOENT' })
      const { text } = await ask(address, 'read', { path: '/proc/self/status' })
      expect(text).toMatch(/^CapEff:\s+0+$/m)
      expect(text).toMatch(/^CapBnd:\s+0+$/m)
      expect(text).toMatch(/^NoNewPrivs:\s+1$/m)
      expect(text).toMatch(/^Seccomp:\s+2$/m)
    })

    test('that takes more memory than it may is killed, and said to have run out of it', async () => {
      const exits: NodeExit[] = []
      const unwatch = runtime.watch((exit) => exits.push(exit))
      const { handle, address } = await startHealthy(runtime)
      await ask(address, 'fill-memory')
      expect(await reaches(runtime, handle, 'exited')).toMatchObject({
        exitCode: 137,
        oomKilled: true,
        reason: 'ran out of memory',
      })
      await vi.waitFor(() => expect(exits).toMatchObject([{ handle, oomKilled: true }]), 10_000)
      unwatch()
    })

    test('of another installation is not listed, and its name is not taken over', async () => {
      const { handle, spec } = await startHealthy(runtime)
      const other = await open({ ...own, installation: `${installation}-other` })
      try {
        expect(await other.list()).toEqual([])
        await expect(other.start(spec)).rejects.toMatchObject({ code: 'start_failed' })
        expect(await runtime.inspect(handle)).toMatchObject({ status: 'running' })
      } finally {
        await other.close()
        await other.dispose()
      }
    })
  })
})

describeWithEngine('the docker driver', () => {
  const installation = `test-engine-${runId}`
  let proxy: EngineProxy
  let runtime: DockerRuntime
  const breaks: unknown[] = []

  beforeAll(async () => {
    proxy = await proxyEngine(join(folder, 'engine.sock'), engineSocket)
    runtime = await open({
      installation,
      dockerHost: proxy.dockerHost,
      onError: (error) => breaks.push(error),
    })
  })
  afterAll(async () => {
    await runtime.close()
    await runtime.dispose()
    await proxy.close()
  })

  test('tells of exits and follows logs across a break of the connection to the engine', async () => {
    const exits: NodeExit[] = []
    runtime.watch((exit) => exits.push(exit))
    const { handle, address } = await startHealthy(runtime)
    const seen: string[] = []
    const following = (async () => {
      for await (const line of runtime.logs(handle, { follow: true })) seen.push(JSON.parse(line.text).text)
    })()
    await ask(address, 'print', { text: 'before' })
    await vi.waitFor(() => expect(seen).toEqual(['listening', 'before']), 10_000)
    proxy.cut()
    expect(await runtime.inspect(handle)).toMatchObject({ status: 'unknown' })
    await vi.waitFor(() => expect(breaks).not.toEqual([]), 10_000)
    await ask(address, 'print', { text: 'meanwhile' })
    await ask(address, 'exit', { code: '5' })
    proxy.restore()
    await following
    expect(seen).toEqual(['listening', 'before', 'meanwhile'])
    await vi.waitFor(() => expect(exits).toMatchObject([{ handle, exitCode: 5 }]), 10_000)
    await runtime.stop(handle, 0)
  })

  test('a missing image is told before the first start, and at a start', async () => {
    const images = { production: 'palomar/no-such-image:0' }
    await expect(open({ installation, images })).rejects.toMatchObject({ code: 'image_missing' })
    const unprepared = make({ installation, images })
    await expect(unprepared.start(newSpec())).rejects.toMatchObject({ code: 'image_missing' })
    const simulator = { ...newSpec(), bundle: 'simulator' as const }
    await expect(runtime.start(simulator)).rejects.toMatchObject({ code: 'image_missing' })
    expect(await runtime.list()).toEqual([])
  })

  test('a network on which nodes would reach each other is refused', async () => {
    const Name = `palomar-open-${runId}`
    const network = await docker.createNetwork({ Name, CheckDuplicate: true })
    try {
      await expect(open({ installation, network: Name })).rejects.toMatchObject({ code: 'network_unsafe' })
    } finally {
      await network.remove()
    }
  })
})

test('an engine that does not answer is told as such, in bounded time', async () => {
  expect(await detectEngine({ dockerHost: silent.dockerHost, timeoutMs: 200 })).toBe(false)
  expect(await detectEngine({ dockerHost: `unix://${folder}/none.sock` })).toBe(false)
  const away = make({ installation: 'none', dockerHost: `unix://${folder}/none.sock` })
  await expect(away.prepare()).rejects.toMatchObject({ code: 'engine_unavailable' })
  await expect(away.start(newSpec())).rejects.toMatchObject({ code: 'engine_unavailable' })
  await expect(away.usage({ id: 'x', name: 'x' })).rejects.toMatchObject({ code: 'engine_unavailable' })
})
