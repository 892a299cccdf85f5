import { expect, test } from 'vitest'
import { Limit, Serial } from './limit.ts'

/** A task that ends when it is told, and says in `order` when it began. */
function gated(order: string[], name: string) {
  let end: () => void = () => undefined
  const gate = new Promise<void>((resolve) => {
    end = resolve
  })
  const task = async () => {
    order.push(name)
    await gate
    return name
  }
  return { task, end: () => end() }
}

test('a limit runs so many at once, the rest in order, and survives failures', async () => {
  const limit = new Limit(2)
  const order: string[] = []
  const tasks = ['a', 'b', 'c', 'd'].map((name) => gated(order, name))
  const failing = limit.run(() => Promise.reject(new Error('no')))
  await expect(failing).rejects.toThrow('no')
  const runs = tasks.map(({ task }) => limit.run(task))
  expect(order).toEqual(['a', 'b'])
  tasks[1]?.end()
  await runs[1]
  expect(order).toEqual(['a', 'b', 'c'])
  for (const task of tasks) task.end()
  expect(await Promise.all(runs)).toEqual(['a', 'b', 'c', 'd'])
})

test('the tasks of one key run one after the other, those of another do not wait', async () => {
  const serial = new Serial()
  const order: string[] = []
  const [first, second, other] = [gated(order, 'first'), gated(order, 'second'), gated(order, 'other')]
  const runs = [serial.run('k', first.task), serial.run('k', second.task)]
  other.end()
  await serial.run('l', other.task)
  expect(order).toEqual(['first', 'other'])
  first.end()
  await runs[0]
  second.end()
  expect(await Promise.all(runs)).toEqual(['first', 'second'])
})

test('a failed task does not keep the next of its key from running', async () => {
  const serial = new Serial()
  await expect(serial.run('k', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await serial.run('k', async () => 'yes')).toBe('yes')
})
