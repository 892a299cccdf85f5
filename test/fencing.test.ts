import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PairedAccount, pairAccount } from '../harness/pairing.ts'
import { until } from '../harness/palomar-client.ts'
import { createSecrets, loadMasterSecret } from '../orchestrator/src/secrets.ts'
import { useStack } from './with-stack.ts'

/**
 * Two live nodes of one session, as a network partition or a confused engine could make them: the second is started
 * by the test itself, behind the reconciler's back.
 */
describe('two nodes for one session', () => {
  const running = useStack({ runtime: 'process', env: { PALOMAR_RECONCILE_SECONDS: '3600' } })
  const second = '0190a0a0-0000-7000-8000-0000000000f2'
  let ana: PairedAccount
  let contact: { phone: string }
  let database: Client
  let child: ReturnType<typeof spawn> | undefined

  beforeAll(async () => {
    database = new Client(running.stack.databaseUrl)
    await database.connect()
    ana = await pairAccount(running.stack, running.events, 'Ana')
    contact = await running.stack.simulator.admin.addContact({ name: 'Eva', behaviour: { reads: true } })
  })
  afterAll(async () => {
    child?.kill('SIGKILL')
    await database?.end()
  })

  const send = (body: string) =>
    running.stack.client.ok('POST', '/api/messages?queue=true', {
      account_id: ana.id,
      to: contact.phone,
      type: 'text',
      text: { body },
    })

  test('the older one is fenced off and ends itself; no decryption error follows', async () => {
    await send('one')
    const { rows } = await database.query(
      `select s.id as session, s.tenant_id as tenant, s.generation, n.id as node from session s join node n on n.session_id = s.id where s.account_id = $1`,
      [ana.id],
    )
    const { session, tenant, node, generation } = rows[0]
    await database.query(
      `insert into node (id, session_id, tenant_id, driver, status, started_at) values ($1, $2, $3, 'process', 'starting', now())`,
      [second, session, tenant],
    )
    const { env } = environmentOf(node)
    const secrets = createSecrets(loadMasterSecret(undefined, running.stack.dataDir))
    mkdirSync(path.join(running.stack.dataDir, 'second'), { recursive: true })
    child = spawn(
      process.execPath,
      [path.resolve(import.meta.dirname, '../session-node/dist/simulator/node.mjs')],
      {
        env: {
          ...env,
          PALOMAR_NODE_ID: second,
          PALOMAR_NODE_TOKEN: secrets.nodeToken(session, second),
          PORT: '0',
          NODE_CHANNEL_FD: undefined,
        } as NodeJS.ProcessEnv,
        stdio: 'ignore',
      },
    )
    const older = pidOf(node)
    await until(
      'the newer generation',
      async () =>
        (await database.query('select generation from session where id = $1', [session])).rows[0]
          .generation as number,
      (now) => now > generation,
    )
    await until(
      'the end of the older node',
      async () => isAlive(older),
      (alive) => !alive,
    )

    const texts = Array.from({ length: 20 }, (_, n) => `text ${n}`)
    for (const text of texts) await send(text)
    await running.stack.simulator.admin.contactSend({
      phone: contact.phone,
      to: ana.phone,
      text: 'answer {n}',
      count: 20,
    })
    const arrived = await until(
      'all at the contact',
      () => running.stack.simulator.admin.received(contact.phone),
      (all) => all.length >= 21,
    )
    expect(arrived.map(({ text }) => text)).toEqual(['one', ...texts])
    await running.events.waitFor(
      'the last answer',
      (event) => event.type === 'message.received' && JSON.stringify(event.data).includes('answer 20'),
    )
    const answers = running.events.events.filter(({ type }) => type === 'message.received')
    expect(answers).toHaveLength(20)
    const counters = await running.stack.simulator.admin.counters()
    expect({ retries: counters.retries, violations: counters.violations }).toEqual({
      retries: 0,
      violations: [],
    })
    const undecryptable = await database.query(
      `select count(*)::int as n from message where type = 'undecryptable'`,
    )
    expect(undecryptable.rows[0].n).toBe(0)
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  })

  function pidOf(nodeId: string): number {
    const state = readFileSync(
      path.join(running.stack.dataDir, 'nodes', `palomar-${nodeId}`, 'state.json'),
      'utf8',
    )
    return (JSON.parse(state) as { pid: number }).pid
  }

  function environmentOf(nodeId: string): { env: Record<string, string> } {
    const text = readFileSync(`/proc/${pidOf(nodeId)}/environ`, 'utf8')
    const pairs = text
      .split('\0')
      .filter(Boolean)
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])
    return { env: Object.fromEntries(pairs) }
  }

  function isAlive(pid: number): Promise<boolean> {
    try {
      return Promise.resolve(!/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
    } catch {
      return Promise.resolve(false)
    }
  }
})
