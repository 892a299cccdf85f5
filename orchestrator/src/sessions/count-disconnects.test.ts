import { expect, test } from 'vitest'
import { createFanOut } from '../events/fan-out.ts'
import type { StoredEvent } from '../events/types.ts'
import { createLogger } from '../logger.ts'
import { createMetrics } from '../metrics.ts'
import { countDisconnects } from './count-disconnects.ts'

test('each disconnect counts under its reason, strange ones under one', async () => {
  const fanOut = createFanOut(createLogger('error', true))
  const metrics = createMetrics()
  const stop = countDisconnects(fanOut, metrics)
  const event = (reason: string, type: StoredEvent['type'] = 'session.status.disconnected'): StoredEvent => ({
    ...{ id: '1', type, tenant_id: 't', account_id: 'a', created_at: '', data: { reason } },
  })
  fanOut.publish([
    event('deaf'),
    event('deaf'),
    event('x1'),
    event('x2'),
    event('deaf', 'session.status.connected'),
  ])
  stop()
  fanOut.publish([event('deaf')])
  const { values } = await metrics.disconnects.get()
  expect(values.map(({ labels, value }) => [labels.reason, value])).toEqual([
    ['deaf', 2],
    ['other', 2],
  ])
})
