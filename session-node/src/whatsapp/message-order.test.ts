import { EventEmitter } from 'node:events'
import type { BinaryNode } from '@whiskeysockets/baileys'
import { expect, it } from 'vitest'
import { MessageOrder } from './message-order.ts'

const node = (id: string, attrs = {}): BinaryNode => ({ tag: 'message', attrs: { id, ...attrs } })
const turn = () => new Promise((resolve) => setImmediate(resolve))

const setUp = () => {
  const ws = Object.assign(new EventEmitter(), { isOpen: true })
  const order = new MessageOrder()
  const started: string[] = []
  const finish: (() => void)[] = []
  ws.on('CB:message', (message: BinaryNode) => {
    const { id = '', offline } = message.attrs
    started.push(`${id}${order.isOffline(id) ? ' queued' : ''}${offline ? ' !' : ''}`)
    return new Promise<void>((resolve) => finish.push(resolve))
  })
  const seen: string[] = []
  order.apply(ws, (message) => void seen.push(message.attrs.id ?? ''))
  return { ws, order, started, finish, seen }
}

it('hands over one message at a time, in order, and shows each at once to those before', async () => {
  const { ws, started, finish, seen } = setUp()
  ws.emit('CB:message', node('1', { offline: '0' }))
  ws.emit('CB:message', node('2'))
  expect(seen).toEqual(['1', '2'])
  await turn()
  expect(started).toEqual(['1 queued'])
  finish[0]?.()
  await turn()
  expect(started).toEqual(['1 queued', '2'])
})

it('hands nothing over once the socket is closed', async () => {
  const { ws, started, finish } = setUp()
  ws.emit('CB:message', node('1'))
  ws.emit('CB:message', node('2'))
  await turn()
  ws.isOpen = false
  finish[0]?.()
  await turn()
  expect(started).toEqual(['1'])
})
