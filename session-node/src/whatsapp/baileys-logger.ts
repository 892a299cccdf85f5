import type { SocketConfig } from '@whiskeysockets/baileys'
import type { Logger } from '../logger.ts'

type BaileysLogger = SocketConfig['logger']

/**
 * Baileys logs whole stanzas, messages and keys. Of each warning we keep its sentence and the error's message; the
 * rest of what it tells is for debugging Baileys itself.
 */
export const baileysLogger = (logger: Logger): BaileysLogger => {
  const quiet = () => undefined
  const tell = (level: 'warn' | 'debug') => (about: unknown, message?: string) => {
    const text = message ?? (typeof about === 'string' ? about : 'baileys')
    logger[level](text, { from: 'baileys', ...messageIdOf(about), ...reasonOf(about) })
  }
  const adapter: BaileysLogger = {
    level: 'warn',
    child: () => adapter,
    trace: quiet,
    debug: quiet,
    info: quiet,
    warn: tell('debug'),
    error: tell('warn'),
  }
  return adapter
}

const reasonOf = (about: unknown): { reason?: string } => {
  if (typeof about !== 'object' || about === null) return {}
  const { err, error, trace } = about as { err?: unknown; error?: unknown; trace?: unknown }
  const cause = err ?? error ?? trace
  if (cause instanceof Error) return { reason: cause.message }
  return typeof cause === 'string' ? { reason: cause.split('\n', 1)[0] ?? '' } : {}
}

const messageIdOf = (about: unknown): { message_id?: string } => {
  const { key } = (typeof about === 'object' && about !== null ? about : {}) as { key?: { id?: unknown } }
  return typeof key?.id === 'string' ? { message_id: key.id } : {}
}
