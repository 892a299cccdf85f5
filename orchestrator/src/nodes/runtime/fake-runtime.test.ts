import type { RequestListener } from 'node:http'
import { afterAll, describe, expect, test } from 'vitest'
import { FakeEngine, type FakeNode } from './fake-engine.ts'
import { FakeRuntime } from './fake-runtime.ts'
import { type NodeExit, RuntimeError } from './runtime.ts'
import { ask, newSpec, runtimeContract } from './runtime-contract.ts'

/** Answers as the fixture program does. */
function asFixture(engine: FakeEngine, node: FakeNode): RequestListener {
  const print = (text: string, stream?: 'stdout' | 'stderr') => node.print(JSON.stringify({ text }), stream)
  print('listening')
  return (request, response) => {
    const url = new URL(request.url ?? '', 'http://node')
    const { text = '', stream, count, code } = Object.fromEntries(url.searchParams)
    response.setHeader('connection', 'close').end('{"ok":true}')
    if (url.pathname === '/print')
      for (let i = 1; i <= Number(count ?? 1); i++)
        print(count ? `${text} ${i}` : text, stream === 'stderr' ? 'stderr' : 'stdout')
    if (url.pathname === '/ignore-sigterm') node.ignoresSigterm = true
    if (url.pathname === '/exit') response.on('finish', () => engine.exit(node.spec.name, Number(code)))
  }
}

const contractEngine = new FakeEngine()
contractEngine.serve = (node) => asFixture(contractEngine, node)

runtimeContract(
  'the fake driver',
  {
    open: async () => new FakeRuntime(contractEngine),
    openUnanswering: async () => {
      const runtime = new FakeRuntime(contractEngine)
      runtime.engineState = 'refuses'
      return runtime
    },
    dispose: async () => contractEngine.dispose(),
  },
  { real: false },
)

describe('the fake engine', () => {
  const engine = new FakeEngine()
  const runtime = new FakeRuntime(engine)
  afterAll(() => engine.dispose())

  test('a start can be slow, and can fail', async () => {
    let openGate: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      openGate = resolve
    })
    engine.beforeStart = () => gate
    let done = false
    const starting = runtime.start(newSpec()).then((node) => {
      done = true
      return node
    })
    await runtime.list()
    expect(done).toBe(false)
    openGate()
    expect(await ask((await starting).address, 'health')).toEqual({ ok: true })

    engine.beforeStart = async () => {
      throw new RuntimeError('image_missing', 'no image')
    }
    await expect(runtime.start(newSpec())).rejects.toMatchObject({ code: 'image_missing' })
    engine.beforeStart = async () => undefined
  })

  test('a lost node is gone without a word', async () => {
    const exits: NodeExit[] = []
    runtime.watch((exit) => exits.push(exit))
    const spec = newSpec()
    const { handle, address } = await runtime.start(spec)
    engine.lose(spec.name)
    expect(await runtime.inspect(handle)).toEqual({ status: 'gone' })
    await expect(ask(address, 'health')).rejects.toThrow()
    expect(exits).toEqual([])
  })

  test('an engine that hangs never settles a call', async () => {
    const deaf = new FakeRuntime(engine)
    deaf.engineState = 'hangs'
    const settled = Symbol('settled')
    const calls = [deaf.list(), deaf.start(newSpec()), deaf.inspect({ name: 'x' })]
    const first = Promise.race([...calls.map((call) => call.then(() => settled)), runtime.list()])
    expect(await first).not.toBe(settled)
  })
})
