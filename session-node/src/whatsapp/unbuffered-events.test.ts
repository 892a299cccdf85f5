import { makeEventBuffer, type WAMessage } from '@whiskeysockets/baileys'
import { expect, it } from 'vitest'
import { createLogger } from '../logger.ts'
import { baileysLogger } from './baileys-logger.ts'
import { unbuffer } from './unbuffered-events.ts'

it('lets each event through at once, also from functions that buffer', async () => {
  const ev = makeEventBuffer(baileysLogger(createLogger('error', {}, () => undefined)))
  unbuffer(ev)
  const seen: string[] = []
  ev.on('messages.upsert', ({ messages }) => void seen.push(messages[0]?.key.id ?? ''))
  const emit = (id: string) =>
    ev.emit('messages.upsert', { messages: [{ key: { id } } as WAMessage], type: 'notify' })
  ev.buffer()
  emit('1')
  expect(seen).toEqual(['1'])
  await ev.createBufferedFunction(async () => {
    emit('2')
    expect(seen).toEqual(['1', '2'])
    emit('3')
  })()
  expect(seen).toEqual(['1', '2', '3'])
  ev.destroy()
})
