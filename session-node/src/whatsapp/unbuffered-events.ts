import type { WASocket } from '@whiskeysockets/baileys'

type BufferedEmitter = Pick<WASocket['ev'], 'emit' | 'buffer' | 'flush'>

/**
 * Baileys' event buffer holds events for up to 30 s, merges distinct ones, drops some, and loses them all when the
 * socket closes. Here each event reaches its listeners as it is emitted.
 */
export const unbuffer = (ev: BufferedEmitter): void => {
  const emit = ev.emit.bind(ev)
  ev.buffer = () => undefined
  ev.emit = (event, data) => {
    // functions inside of Baileys still start buffering behind our back
    ev.flush()
    return emit(event, data)
  }
}
