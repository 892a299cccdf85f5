import { once } from 'node:events'
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close()
})

/** A server that sends back what it gets, and a proxy before it. */
async function echo(seed?: number): Promise<{ proxy: TcpProxy; sizes: number[]; server: Server }> {
  const sizes: number[] = []
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => sizes.push(data.length)).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const proxy = await startTcpProxy({ target: { host: '127.0.0.1', port }, ...(seed ? { seed } : {}) })
  opened.push(server, proxy)
  return { proxy, sizes, server }
}

async function connect(proxy: TcpProxy): Promise<Socket> {
  const socket = tcpConnect(proxy.port, proxy.host)
  await once(socket, 'connect')
  opened.push({ close: () => socket.destroy() })
  return socket
}

/** Reads so many bytes. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  let got = Buffer.alloc(0)
  while (got.length < length) got = Buffer.concat([got, (await once(socket, 'data'))[0]])
  return got
}

async function roundTrip(socket: Socket, text = 'ping'): Promise<number> {
  const began = performance.now()
  socket.write(text)
  expect((await read(socket, text.length)).toString()).toBe(text)
  return performance.now() - began
}

test('passes everything, in order, and the end of it', async () => {
  const { proxy } = await echo()
  const socket = await connect(proxy)
  const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, n) => n % 251))
  const got: Buffer[] = []
  socket.on('data', (data) => got.push(data))
  socket.end(sent)
  await once(socket, 'end')
  expect(Buffer.concat(got).equals(sent)).toBe(true)
})

test('latency is added each way, and taken away again from open connections', async () => {
  const { proxy } = await echo()
  const socket = await connect(proxy)
  proxy.set({ latencyMs: 60, jitterMs: 5 })
  expect(await roundTrip(socket)).toBeGreaterThan(115)
  proxy.set({})
  expect(await roundTrip(socket)).toBeLessThan(60)
})

test('bandwidth', async () => {
  const { proxy } = await echo()
  const socket = await connect(proxy)
  proxy.set({ bytesPerSecond: 40_000 })
  expect(await roundTrip(socket, 'x'.repeat(4_000))).toBeGreaterThan(90)
})

test('slices: one write arrives in many pieces', async () => {
  const { proxy, sizes } = await echo(7)
  proxy.set({ sliceBytes: 20 })
  await roundTrip(await connect(proxy), 'x'.repeat(400))
  expect(sizes.length).toBeGreaterThan(5)
  expect(sizes.reduce((sum, size) => sum + size)).toBe(400)
})

test('a black hole swallows nothing: what was held flows on', async () => {
  const { proxy } = await echo()
  const socket = await connect(proxy)
  proxy.set({ blackhole: true })
  let heard = false
  socket.once('data', () => {
    heard = true
  })
  socket.write('held')
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(heard).toBe(false)
  const data = read(socket, 4)
  proxy.set({})
  expect((await data).toString()).toBe('held')
})

test('a cut: open connections are reset and new ones refused, until it is healed', async () => {
  const { proxy } = await echo()
  const socket = await connect(proxy)
  await roundTrip(socket)
  expect(proxy.connections).toBe(1)
  proxy.set({ refuse: true })
  proxy.reset()
  expect((await once(socket, 'error'))[0].code).toBe('ECONNRESET')
  const refused = tcpConnect(proxy.port, proxy.host)
  expect((await once(refused, 'error'))[0].code).toBe('ECONNRESET')
  proxy.set({})
  await roundTrip(await connect(proxy))
})

test('a target that is not there is told by a reset', async () => {
  const { proxy, server } = await echo()
  server.close()
  const socket = tcpConnect(proxy.port, proxy.host)
  expect((await once(socket, 'error'))[0].code).toBe('ECONNRESET')
})
