import type { Metrics } from '../metrics.ts'
import type { FanOut } from './fan-out.ts'
import type { StoredEvent } from './types.ts'

/** Tells of events that have been committed, and counts them by type. */
export function createPublish({ fanOut, metrics }: { fanOut: FanOut; metrics: Pick<Metrics, 'messages'> }) {
  return (events: StoredEvent[]): void => {
    for (const { type } of events) metrics.messages.inc({ event: type })
    fanOut.publish(events)
  }
}
