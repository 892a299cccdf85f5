import { expect, it } from 'vitest'
import { createLogger } from '../logger.ts'
import { baileysLogger } from './baileys-logger.ts'

it('passes on the sentence and the reason, never stanzas, messages or keys', () => {
  const lines: string[] = []
  const logger = baileysLogger(createLogger('debug', {}, (line) => lines.push(line)))
  logger
    .child({ msgId: 'x' })
    .error(
      { err: new Error('Bad MAC'), key: { id: 'AB12', secret: 'secret' }, node: '<message>' },
      'failed to decrypt message',
    )
  logger.info({ node: 'secret' }, 'logging in...')
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'warn',
    message: 'failed to decrypt message',
    reason: 'Bad MAC',
    message_id: 'AB12',
  })
  expect(lines[0]).not.toContain('secret')
})
