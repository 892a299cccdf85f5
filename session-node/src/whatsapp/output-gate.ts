import type { CommitLog } from '../commits/commit-log.ts'

/** what of a `ws` socket the gate touches */
export interface RawSocket {
  readonly readyState: number
  send(data: Uint8Array, callback?: (error?: Error) => void): void
}

const OPEN = 1

/**
 * Output commit: nothing leaves this process before the state that it rests on is in the database.
 *
 * A frame counts as handed over at once, so that Baileys goes on; it leaves, in order, when every write that was in
 * the log one turn of the event loop later is durable. Receipts then follow the inbox and the event of their message,
 * a message's bytes follow its ratchet (which Baileys stores in the ticks after the send), and a query waits for one
 * commit at most. Frames that wait when the socket closes are dropped: the other side repeats or asks again.
 */
export const holdUntilDurable = (socket: RawSocket, log: Pick<CommitLog, 'barrier' | 'durable'>): void => {
  const send = socket.send.bind(socket)
  let queue = Promise.resolve()
  socket.send = (data, callback) => {
    if (socket.readyState !== OPEN) {
      send(data, callback)
      return
    }
    const settled = new Promise<void>((resolve) => {
      setImmediate(() => resolve(log.durable(log.barrier)))
    })
    queue = queue
      .then(() => settled)
      .then(() => {
        if (socket.readyState === OPEN) send(data)
      })
    callback?.()
  }
}
