import { execFileSync } from 'node:child_process'
import { beforeAll, expect, test } from 'vitest'
import { type PairedAccount, pairAccount } from '../harness/pairing.ts'
import { openEvents, until } from '../harness/palomar-client.ts'
import { type Running, withEachRuntime } from './with-stack.ts'

interface SessionView {
  state: string
  node: { id: string; restarts: number; status: string } | null
}

const textOf = (event: { data: Record<string, unknown> }) =>
  (event.data as { message?: { text?: { body: string } } }).message?.text?.body

async function sendText(running: Running, from: PairedAccount, to: string, body: string) {
  const sent = await running.stack.client.ok<{ status: string }>('POST', '/api/messages', {
    account_id: from.id,
    to,
    type: 'text',
    text: { body },
  })
  expect(sent.status).not.toBe('pending')
}

const session = (running: Running, account: PairedAccount) =>
  running.stack.client.ok<SessionView>('GET', `/api/accounts/${account.id}/session`)

/** connects and disconnects of both devices, as the simulator counted them */
async function sockets(running: Running) {
  const { devices } = await running.stack.simulator.admin.counters()
  return devices.map(({ jid, connected, connects, disconnects }) => ({
    jid,
    connected,
    connects,
    disconnects,
  }))
}

withEachRuntime('killed and started again', {}, (running, runtime) => {
  let ana: PairedAccount
  let rui: PairedAccount
  beforeAll(async () => {
    ana = await pairAccount(running.stack, running.events, 'Ana')
    rui = await pairAccount(running.stack, running.events, 'Rui')
    await sendText(running, ana, rui.phone, 'before')
  })

  test('the orchestrator: sessions are adopted, their WhatsApp sockets never drop, messages flow', async () => {
    const before = await sockets(running)
    const nodes = [(await session(running, ana)).node?.id, (await session(running, rui)).node?.id]
    await running.stack.orchestrator.kill()
    const contact = await running.stack.simulator.admin.addContact({ name: 'Eva' })
    await running.stack.simulator.admin.contactSend({
      phone: contact.phone,
      to: ana.phone,
      text: 'while you were away',
    })
    await running.stack.orchestrator.start()
    running.events.close()
    running.events = await openEvents(running.stack.client)

    await until(
      'both adopted',
      async () => [await session(running, ana), await session(running, rui)],
      (sessions) => sessions.every(({ state, node }) => state === 'active' && node?.status === 'running'),
    )
    expect([(await session(running, ana)).node?.id, (await session(running, rui)).node?.id]).toEqual(nodes)
    await sendText(running, ana, rui.phone, 'after')
    await running.events.waitFor(
      'the text at Rui',
      (event) => event.type === 'message.received' && textOf(event) === 'after',
    )
    const conversation = await until(
      'the text that came meanwhile',
      () =>
        running.stack.client.request<{ data: { text?: { body: string } }[] }>(
          'GET',
          `/api/conversations/${contact.phone}/messages?account_id=${ana.id}`,
        ),
      ({ status, body }) => status === 200 && body.data.length > 0,
    )
    expect(conversation.body.data[0]?.text?.body).toBe('while you were away')
    expect(await sockets(running)).toEqual(before)
  })

  test('a node: a new one is connected again within seconds, without a QR, and what came meanwhile arrives', async () => {
    const before = await session(running, rui)
    const began = performance.now()
    killNode(runtime, before.node?.id ?? '')
    await sendText(running, ana, rui.phone, 'to a dead node')
    const after = await until(
      'another node, active',
      () => session(running, rui),
      ({ state, node }) => state === 'active' && node !== null && node.id !== before.node?.id,
    )
    expect(performance.now() - began).toBeLessThan(15_000)
    expect(after.node?.restarts).toBe((before.node?.restarts ?? 0) + 1)
    await running.events.waitFor(
      'the text at Rui',
      (event) => event.type === 'message.received' && textOf(event) === 'to a dead node',
    )
    const since = running.events.events.filter(
      (event) => event.account_id === rui.id && event.type === 'session.qr.updated',
    )
    expect(since).toEqual([])
    expect((await running.stack.simulator.admin.counters()).violations).toEqual([])
  })
})

/** SIGKILL to the process or container of a node. */
function killNode(runtime: string, nodeId: string): void {
  if (runtime === 'docker') {
    execFileSync('docker', ['kill', `palomar-${nodeId}`])
    return
  }
  const pids = execFileSync(
    'sh',
    ['-c', `grep -lsF "PALOMAR_NODE_ID=${nodeId}" /proc/[0-9]*/environ | cut -d/ -f3`],
    { encoding: 'utf8' },
  )
  for (const pid of pids.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL')
}
