// A stand-in for a session node in the runtime drivers' tests: does on request what nodes do by accident.
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'

const log = (text, stream = 'stdout') =>
  process[stream].write(`${JSON.stringify({ time: new Date().toISOString(), text })}\n`)

const attempt = (what) =>
  what.then(
    () => ({ ok: true }),
    (error) => ({ ok: false, code: error.code }),
  )

const dial = (options) =>
  new Promise((resolve, reject) => {
    const socket = connect({ timeout: 1_500, ...options }, () => resolve(socket.destroy()))
    socket.on('error', reject)
    socket.on('timeout', () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })))
  })

const hoard = []
const actions = {
  '/health': () => ({ ok: true, pid: process.pid, uid: process.getuid(), gid: process.getgid() }),
  '/env': () => process.env,
  '/print': ({ text, stream = 'stdout', count = 1 }) => {
    for (let i = 1; i <= count; i++) log(count > 1 ? `${text} ${i}` : text, stream)
  },
  '/print-long': ({ length }) => log('x'.repeat(Number(length))),
  '/exit': ({ code }) => void setImmediate(() => process.exit(Number(code))),
  '/ignore-sigterm': () =>
    void process.removeAllListeners('SIGTERM').on('SIGTERM', () => log('SIGTERM ignored')),
  '/fill-heap': () => void setInterval(() => hoard.push(Array.from({ length: 1e6 }, Math.random)), 1),
  '/fill-memory': () => void setInterval(() => hoard.push(Buffer.alloc(16 << 20, 1)), 1),
  '/read': async ({ path }) => ({ text: await readFile(path, 'utf8') }),
  '/write': ({ path }) => attempt(writeFile(path, 'x')),
  '/dial': ({ host, port, path }) => attempt(dial(path ? { path } : { host, port: Number(port) })),
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://node')
  const action = actions[url.pathname]
  const answer = action ? await action(Object.fromEntries(url.searchParams)) : undefined
  response.writeHead(action ? 200 : 404, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify(answer ?? {}))
})

process.on('SIGTERM', () => process.exit(0))
let known = false
process.on('message', () => {
  known = true
})
process.on('disconnect', () => known || process.exit(1))
if (process.env.FAIL_AT_START) {
  process.stderr.write(`${process.env.FAIL_AT_START}\n`)
  process.exit(9)
}
if (process.env.NEVER_LISTEN) setInterval(() => undefined, 60_000)
else
  server.listen(Number(process.env.PORT), process.env.HOST, () => {
    log('listening')
    process.send?.({ port: server.address().port })
  })
