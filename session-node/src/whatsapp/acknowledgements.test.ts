import { expect, it } from 'vitest'
import { Acknowledgements } from './acknowledgements.ts'

const ack = (id: string, attrs = {}) => ({
  tag: 'ack',
  attrs: { class: 'message', id, t: '1700000000', ...attrs },
})

it('answers who waits, and remembers', async () => {
  const acknowledgements = new Acknowledgements(['BEFORE'])
  expect(acknowledgements.acknowledgedAt('BEFORE')).toBe(0)
  const wait = acknowledgements.expect('A')
  expect(acknowledgements.receive(ack('A'))).toMatchObject({ id: 'A', timestamp: 1_700_000_000 })
  expect(await wait).toEqual({ timestamp: 1_700_000_000, error: undefined })
  expect(acknowledgements.acknowledgedAt('A')).toBe(1_700_000_000)
  expect(acknowledgements.receive(ack('A'))).toBeUndefined()
})

it('takes a refusal for no acknowledgement, and knows nothing of what it did not send', async () => {
  const acknowledgements = new Acknowledgements([])
  const wait = acknowledgements.expect('A')
  acknowledgements.receive(ack('A', { error: '463' }))
  expect(await wait).toMatchObject({ error: 463 })
  expect(acknowledgements.acknowledgedAt('A')).toBeUndefined()
  expect(acknowledgements.receive(ack('PEER'))).toBeUndefined()
})
