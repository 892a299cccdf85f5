/**
 * What every runtime driver must do, as one suite. A driver's test calls it with a way to make the driver, on nodes
 * that run the fixture program (`fixture-node.mjs`) or answer as it does.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { LogLine, NodeExit, NodeSpec, NodeStatus, Runtime } from './runtime.ts'

export interface ContractSubject {
  /** a new driver, prepared, for the same installation each time: as after a restart of the orchestrator */
  open(): Promise<Runtime>
  /** a driver for the same installation whose engine does not answer */
  openUnanswering(): Promise<Runtime>
  /** removes everything that the installation made */
  dispose(): Promise<void>
}

export interface ContractTraits {
  /** nodes are real programs with memory of their own */
  real: boolean
}

const patience = { timeout: 20_000, interval: 50 }

export function newSpec(env: Record<string, string> = {}): NodeSpec {
  const id = randomUUID()
  return {
    name: `palomar-${id}`,
    labels: { session_id: `session-${id}`, node_id: id },
    env,
    bundle: 'production',
  }
}

/** Asks the fixture for something; see its actions. */
export async function ask(address: string, action: string, query: Record<string, string> = {}) {
  const answer = await fetch(`${address}/${action}?${new URLSearchParams(query)}`, {
    signal: AbortSignal.timeout(5_000),
  })
  return (await answer.json()) as Record<string, unknown>
}

export const isHealthy = (address: string) =>
  vi.waitFor(async () => expect(await ask(address, 'health')).toMatchObject({ ok: true }), patience)

/** Starts a node and waits until it answers. */
export async function startHealthy(runtime: Runtime, spec = newSpec()) {
  const node = await runtime.start(spec)
  await isHealthy(node.address)
  return { ...node, spec }
}

/** Waits until the node has the status. */
export async function reaches<S extends NodeStatus['status']>(
  runtime: Runtime,
  handle: Parameters<Runtime['inspect']>[0],
  wanted: S,
) {
  return vi.waitFor(async () => {
    const status = await runtime.inspect(handle)
    expect(status.status).toBe(wanted)
    return status as Extract<NodeStatus, { status: S }>
  }, patience)
}

export async function textsOf(lines: AsyncIterable<LogLine>): Promise<string[]> {
  const texts: string[] = []
  for await (const line of lines) texts.push(textOf(line))
  return texts
}

const textOf = (line: LogLine) => (JSON.parse(line.text) as { text: string }).text

export function runtimeContract(name: string, subject: ContractSubject, traits: ContractTraits): void {
  describe(`${name} as a runtime`, { timeout: 30_000 }, () => {
    let runtime: Runtime

    beforeAll(async () => {
      runtime = await subject.open()
    }, 60_000)

    afterEach(async () => {
      for (const node of await runtime.list()) await runtime.stop(node.handle, 0)
    })

    afterAll(async () => {
      await runtime.close()
      await subject.dispose()
    })

    test('a started node answers at its address, is running and is listed with its labels', async () => {
      const { handle, address, spec } = await startHealthy(runtime)
      expect(JSON.parse(JSON.stringify(handle))).toEqual(handle)
      expect(await runtime.inspect(handle)).toMatchObject({ status: 'running', address })
      const listed = await runtime.list()
      expect(listed).toHaveLength(1)
      expect(listed[0]).toMatchObject({ handle, name: spec.name, status: { status: 'running', address } })
      expect(listed[0]?.labels).toMatchObject(spec.labels)
    })

    test('a start is idempotent by name, also when it comes twice at once', async () => {
      const spec = newSpec()
      const [first, second] = await Promise.all([runtime.start(spec), runtime.start(spec)])
      expect(second).toEqual(first)
      expect(await runtime.start(spec)).toEqual(first)
      expect(await runtime.list()).toHaveLength(1)
    })

    test('each name has a node of its own', async () => {
      const [one, other] = await Promise.all([startHealthy(runtime), startHealthy(runtime)])
      expect(one.address).not.toBe(other.address)
      await runtime.stop(one.handle, 1_000)
      expect(await ask(other.address, 'health')).toMatchObject({ ok: true })
    })

    test('a stop ends the node and leaves nothing; stopping a missing node is success', async () => {
      const { handle, address } = await startHealthy(runtime)
      await runtime.stop(handle, 5_000)
      expect(await runtime.inspect(handle)).toEqual({ status: 'gone' })
      expect(await runtime.list()).toEqual([])
      await expect(ask(address, 'health')).rejects.toThrow()
      await runtime.stop(handle, 5_000)
    })

    test('a node that ignores SIGTERM is killed after the grace', async () => {
      const { handle, address } = await startHealthy(runtime)
      await ask(address, 'ignore-sigterm')
      const begun = Date.now()
      await runtime.stop(handle, 1_000)
      expect(Date.now() - begun).toBeGreaterThanOrEqual(1_000)
      expect(await runtime.inspect(handle)).toEqual({ status: 'gone' })
    })

    test('an exited node tells its exit code, stays listed until it is stopped, and its name starts afresh', async () => {
      const { handle, address, spec } = await startHealthy(runtime)
      await ask(address, 'exit', { code: '7' })
      const status = await reaches(runtime, handle, 'exited')
      expect(status).toMatchObject({ exitCode: 7, oomKilled: false })
      expect(status.reason).toContain('7')
      expect(await runtime.list()).toMatchObject([{ name: spec.name, status: { status: 'exited' } }])

      const again = await startHealthy(runtime, spec)
      expect(await runtime.inspect(again.handle)).toMatchObject({ status: 'running' })
      expect(await runtime.list()).toHaveLength(1)
    })

    test('exits are told to those who watch, until they stop watching', async () => {
      const exits: NodeExit[] = []
      const unheeded: NodeExit[] = []
      const unwatch = runtime.watch((exit) => exits.push(exit))
      runtime.watch((exit) => unheeded.push(exit))()
      const { handle, address, spec } = await startHealthy(runtime)
      await ask(address, 'exit', { code: '3' })
      await vi.waitFor(() => expect(exits).toHaveLength(1), patience)
      unwatch()
      expect(exits[0]).toMatchObject({ handle, name: spec.name, exitCode: 3, oomKilled: false })
      expect(exits[0]?.labels).toMatchObject(spec.labels)
      expect(unheeded).toEqual([])
    })

    test('logs: all, the last n, since a time, of both streams, also after the exit', async () => {
      const { handle, address } = await startHealthy(runtime)
      await ask(address, 'print', { text: 'early' })
      const early = await vi.waitFor(async () => {
        for await (const line of runtime.logs(handle, {})) if (textOf(line) === 'early') return line
        throw new Error('not yet')
      }, patience)
      expect(early.stream).toBe('stdout')
      expect(Math.abs(Date.now() - early.at.getTime())).toBeLessThan(20_000)

      // A line of the same millisecond would belong to both sides of `since`.
      await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(early.at.getTime() + 1))
      await ask(address, 'print', { text: 'wrong', stream: 'stderr' })
      await ask(address, 'print', { text: 'late', count: '3' })
      await ask(address, 'exit', { code: '0' })
      await reaches(runtime, handle, 'exited')

      const late = ['late 1', 'late 2', 'late 3']
      expect(await textsOf(runtime.logs(handle, {}))).toEqual(['listening', 'early', 'wrong', ...late])
      expect(await textsOf(runtime.logs(handle, { tail: 2 }))).toEqual(late.slice(1))
      const since = new Date(early.at.getTime() + 1)
      expect(await textsOf(runtime.logs(handle, { since }))).toEqual(['wrong', ...late])
      const streams = []
      for await (const line of runtime.logs(handle, { tail: 4 })) streams.push(line.stream)
      expect(streams).toEqual(['stderr', 'stdout', 'stdout', 'stdout'])
      expect(await textsOf(runtime.logs(handle, { follow: true, tail: 1 }))).toEqual(['late 3'])
      expect(await textsOf(runtime.logs(handle, { follow: true, tail: 0 }))).toEqual([])
    })

    test('followed logs come as they are written, and end with the node', async () => {
      const { handle, address } = await startHealthy(runtime)
      const seen: string[] = []
      const following = (async () => {
        for await (const line of runtime.logs(handle, { follow: true })) seen.push(textOf(line))
      })()
      await vi.waitFor(() => expect(seen).toEqual(['listening']), patience)
      await ask(address, 'print', { text: 'one' })
      await vi.waitFor(() => expect(seen).toEqual(['listening', 'one']), patience)
      await ask(address, 'print', { text: 'two' })
      await ask(address, 'exit', { code: '0' })
      await following
      expect(seen).toEqual(['listening', 'one', 'two'])
    })

    test('following ends when the caller aborts, and leaves the node running', async () => {
      const { handle } = await startHealthy(runtime)
      const abort = new AbortController()
      const seen: string[] = []
      for await (const line of runtime.logs(handle, { follow: true, signal: abort.signal })) {
        seen.push(textOf(line))
        abort.abort()
      }
      expect(seen).toEqual(['listening'])
      expect(await runtime.inspect(handle)).toMatchObject({ status: 'running' })
    })

    test('an engine that does not answer makes a node unknown, never gone', async () => {
      const { handle, address } = await startHealthy(runtime)
      const deaf = await subject.openUnanswering()
      try {
        expect(await deaf.inspect(handle)).toMatchObject({ status: 'unknown', reason: expect.any(String) })
        await expect(deaf.list()).rejects.toMatchObject({ code: 'engine_unavailable' })
        await expect(deaf.stop(handle, 0)).rejects.toMatchObject({ code: 'engine_unavailable' })
      } finally {
        await deaf.close()
      }
      expect(await runtime.inspect(handle)).toMatchObject({ status: 'running', address })
    })

    test('nodes outlive the driver, and a new one adopts them', async () => {
      const { handle, address, spec } = await startHealthy(runtime)
      await runtime.close()
      expect(await ask(address, 'health')).toMatchObject({ ok: true })

      runtime = await subject.open()
      expect(await runtime.list()).toMatchObject([{ handle, name: spec.name, status: { address } }])
      expect(await runtime.start(spec)).toEqual({ handle, address })
      const exits: NodeExit[] = []
      const unwatch = runtime.watch((exit) => exits.push(exit))
      await ask(address, 'exit', { code: '4' })
      await vi.waitFor(() => expect(exits).toMatchObject([{ handle, name: spec.name }]), patience)
      unwatch()
      expect(await runtime.inspect(handle)).toMatchObject({ status: 'exited' })
    })

    if (!traits.real) return

    test('a line longer than any buffer on its way comes whole', async () => {
      const { handle, address } = await startHealthy(runtime)
      await ask(address, 'print-long', { length: '50000' })
      await ask(address, 'print', { text: 'next' })
      await ask(address, 'exit', { code: '0' })
      await reaches(runtime, handle, 'exited')
      const lines = ['x'.repeat(50_000), 'next']
      expect(await textsOf(runtime.logs(handle, { tail: 2 }))).toEqual(lines)
      expect(await textsOf(runtime.logs(handle, { tail: 2, follow: true }))).toEqual(lines)
    })

    test('a node that fills its heap is said to have run out of memory', async () => {
      const { handle, address } = await startHealthy(runtime)
      await ask(address, 'fill-heap')
      const status = await reaches(runtime, handle, 'exited')
      expect(status).toMatchObject({ oomKilled: true, reason: 'ran out of memory' })
    })

    test.runIf(process.platform === 'linux')('usage tells memory and CPU', async () => {
      const { handle } = await startHealthy(runtime)
      const usage = await runtime.usage(handle)
      expect(usage.privateBytes).toBeGreaterThan(1_000_000)
      expect(usage.privateBytes).toBeLessThan(200_000_000)
      expect(usage.cpuSeconds).toBeGreaterThan(0)
      await runtime.stop(handle, 0)
      expect(await runtime.usage(handle)).toEqual({ privateBytes: null, pssBytes: null, cpuSeconds: null })
    })
  })
}
