/** A server on its port, and its orderly end. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { StartupError } from '../db/startup-error.ts'

/** Listens, or throws a StartupError that names the variable to change. */
export async function listen(
  serve: RequestListener,
  host: string,
  port: number,
  variable: string,
): Promise<Server> {
  const server = createServer(serve)
  server.keepAliveTimeout = 65_000
  server.listen(port, host)
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE')
      throw new StartupError(`port ${port} on ${host} is taken: set ${variable} to another`)
    throw new StartupError(`cannot listen on ${host}:${port} (${variable}): ${error.message}`)
  })
  return server
}

export function addressOf(server: Server): { port: number } {
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('the server has no port')
  return address
}

/** Lets running requests end, for a while; follows of logs and idle connections are cut at once. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeIdleConnections()
  const cut = setTimeout(() => server.closeAllConnections(), 1_000)
  await closed
  clearTimeout(cut)
}
