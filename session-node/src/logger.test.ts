import { expect, it } from 'vitest'
import { createLogger } from './logger.ts'

it('writes JSON lines with what is bound, down to its level', () => {
  const lines: string[] = []
  const logger = createLogger('info', { session_id: 's' }, (line) => lines.push(line))
  logger.debug('not this')
  logger.bind({ generation: 3 })
  logger.info('this', { code: 515 })
  expect(lines).toHaveLength(1)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'info',
    message: 'this',
    session_id: 's',
    generation: 3,
    code: 515,
  })
})

it('keeps of an error its stack, not what libraries hang on it', () => {
  const lines: string[] = []
  const error = Object.assign(new Error('broken'), { key: 'secret' })
  createLogger('error', {}, (line) => lines.push(line)).error('failed', { error })
  expect(lines[0]).toContain('broken')
  expect(lines[0]).not.toContain('secret')
})
