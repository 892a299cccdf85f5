/** Stands between a driver and the engine in tests, to do what engines do at their worst: break off, or say nothing. */
import { connect, createServer, type Socket } from 'node:net'

export interface EngineProxy {
  dockerHost: string
  /** breaks every connection, and refuses new ones until `restore` */
  cut(): void
  restore(): void
  close(): Promise<void>
}

/** Without an `engineSocket`, it takes every call and never answers. */
export async function proxyEngine(path: string, engineSocket?: string): Promise<EngineProxy> {
  const open = new Set<Socket>()
  let refusing = false
  const keep = (socket: Socket) => {
    open.add(socket)
    // A broken connection is what this is for.
    socket.on('error', () => socket.destroy()).on('close', () => open.delete(socket))
  }
  const server = createServer((client) => {
    keep(client)
    if (refusing) return void client.destroy()
    if (!engineSocket) return void client.resume()
    const engine = connect(engineSocket)
    keep(engine)
    client.pipe(engine).pipe(client)
    client.on('close', () => engine.destroy())
    engine.on('close', () => client.destroy())
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  const cut = () => {
    refusing = true
    for (const socket of open) socket.destroy()
  }
  return {
    dockerHost: `unix://${path}`,
    cut,
    restore: () => {
      refusing = false
    },
    close: async () => {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
