import { describeError, type Logger } from '../logger.ts'
import type { Line } from './sender.ts'

const ANSWER_MS = 5_000

/**
 * Tells WhatsApp to remove this device. Baileys' own `logout` closes the socket in the same breath, so that the request
 * may never leave; here its answer is waited for, or the end of the connection, which is one too.
 */
export const unlink = async ({ socket, closed }: Line, logger: Logger): Promise<boolean> => {
  const jid = socket.user?.id
  if (!jid) return false
  const answer = socket.query(
    {
      tag: 'iq',
      attrs: { to: '@s.whatsapp.net', type: 'set', id: socket.generateMessageTag(), xmlns: 'md' },
      content: [{ tag: 'remove-companion-device', attrs: { jid, reason: 'user_initiated' } }],
    },
    ANSWER_MS,
  )
  try {
    await Promise.race([answer, closed])
    return true
  } catch (error) {
    logger.warn('WhatsApp did not confirm the logout', { error: describeError(error) })
    return false
  }
}
