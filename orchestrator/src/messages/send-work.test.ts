import { expect, onTestFinished, test } from 'vitest'
import { setSendingStage } from '../../test/sending-stage.ts'
import type { LaneJob } from '../lanes/lane-job.ts'
import { sendWorkOf } from './send-work.ts'

test('a job whose look-up came too early for its message does not pass for one whose message is gone', async () => {
  const stage = await setSendingStage()
  onTestFinished(() => stage.strike())
  const message = await stage.accept(await stage.account('reconnecting'), 'hello')
  const job = (messageId: string, found?: object) =>
    ({ payload: { message_id: messageId }, found }) as unknown as LaneJob
  const { pool } = stage.database

  expect(await sendWorkOf(pool, job(message.id))).toMatchObject({ id: message.id, status: 'pending' })
  expect(await sendWorkOf(pool, job('0190a0a0-0000-7000-8000-000000000000'))).toBeUndefined()
  const found = { id: message.id }
  expect(await sendWorkOf(pool, job(message.id, found))).toBe(found)
})
