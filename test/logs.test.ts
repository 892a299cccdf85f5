import { beforeAll, expect, test } from 'vitest'
import { until } from '../harness/palomar-client.ts'
import { withEachRuntime } from './with-stack.ts'

withEachRuntime("a session's log", {}, (running) => {
  let account: string
  beforeAll(async () => {
    account = (await running.stack.client.ok<{ id: string }>('POST', '/api/accounts', { name: 'Ana' })).id
    await running.events.waitFor('a QR', (event) => event.type === 'session.qr.updated')
  })

  const logs = (query: string) =>
    running.stack.client.ok<string>('GET', `/api/accounts/${account}/logs${query}`)

  test('tail and since', async () => {
    const all = (await logs('')).trim().split('\n')
    expect(all.length).toBeGreaterThanOrEqual(2)
    expect(all.join('\n')).toContain('"listening"')
    expect((await logs('?tail=1')).trim().split('\n')).toEqual(all.slice(-1))
    expect(await logs(`?since=${new Date(Date.now() + 60_000).toISOString()}`)).toBe('')
    for (const line of all) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z /)
  })

  test('follow goes on over a new node, and what is known stays when the session is stopped', async () => {
    const gone = new AbortController()
    const response = await fetch(
      `${running.stack.client.url}/api/accounts/${account}/logs?tail=0&follow=true`,
      {
        headers: { authorization: `Bearer ${running.stack.client.key}` },
        signal: gone.signal,
      },
    )
    let followed = ''
    const reading = (async () => {
      for await (const chunk of response.body ?? []) followed += Buffer.from(chunk).toString()
    })().catch((error: Error) => expect(error.name).toBe('AbortError'))
    await running.stack.client.ok('POST', `/api/accounts/${account}/session?restart=true`)
    await until(
      'the next node in the followed log',
      async () => followed,
      (text) => text.includes('"listening"'),
    )
    gone.abort()
    await reading

    await running.stack.client.ok('POST', `/api/accounts/${account}/session/stop`)
    await until(
      'the end of the node',
      () => running.stack.client.ok<{ node: { status: string } }>('GET', `/api/accounts/${account}/session`),
      ({ node }) => node.status === 'stopped',
    )
    expect(await logs('')).toContain('"listening"')
  })

  test('no key, no token and no QR secret stands in it, nor in the orchestrator’s', async () => {
    const text = await logs('?tail=10000')
    expect(text).not.toMatch(/privKey|PALOMAR_NODE_TOKEN|Bearer /)
    expect(text).not.toContain(running.stack.client.key)
  })
})
