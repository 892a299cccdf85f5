import { afterEach, expect, it, vi } from 'vitest'
import type { NodeProcess } from './node-process.ts'
import { newId, Stage, textTo } from './stage.ts'

let stage: Stage
afterEach(() => stage.strike())

it('a message is sent again to a device that cannot read it, so often and no more, whichever node is asked', {
  timeout: 60_000,
}, async () => {
  stage = await Stage.set()
  const { simulator, orchestrator } = stage
  const [bo, cy] = [simulator.addContact({}), simulator.addContact({})]
  const received = (phone: string) => simulator.received({ phone }).map(({ id }) => id)
  const sent = async (node: NodeProcess, phone: string, id = newId()) => {
    await node.send(textTo(phone, 'hi', id))
    await vi.waitFor(() => expect(received(phone)).toContain(id), 20_000)
    return id
  }
  const countersOf = (id: string) =>
    [...orchestrator.keys].flatMap(([key, json]) =>
      key.startsWith('x-retries/') && json.includes(id) ? json : [],
    )

  const first = await stage.pairedNode()
  await sent(first, bo.phone)
  await simulator.loseSessions({ phone: bo.phone })
  const asked = await sent(first, bo.phone)
  expect(countersOf(asked)).toEqual([expect.stringContaining(bo.phone)])

  // Of a message to the other one, the next node reads that it has been sent again often enough.
  const often = newId()
  const [[[participants]]] = countersOf(asked).map((json) => JSON.parse(json)) as [[[string]]]
  const counter = participants.replace(asked, often).replace(bo.phone, cy.phone)
  const stored = JSON.stringify([[counter, 5, Date.now() + 60_000]])
  await first.kill()
  for (let n = 0; n < 16; n++) orchestrator.keys.set(`x-retries/${n}`, stored)
  const second = await stage.startNode()
  await stage.active()
  await sent(second, cy.phone)
  await simulator.loseSessions({ phone: cy.phone })
  await second.send(textTo(cy.phone, 'hi', often))
  await sent(second, cy.phone)
  expect(received(cy.phone)).not.toContain(often)
  expect(simulator.unreadable({ phone: cy.phone }).map(({ id }) => id)).toContain(often)
})
