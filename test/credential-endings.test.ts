import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pairAccount } from '../harness/pairing.ts'
import { until } from '../harness/palomar-client.ts'
import { useStack } from './with-stack.ts'

interface Row {
  id: string
  state: string
  code: number | null
  has_creds: boolean
  keys: string[]
}

describe('credentials, when WhatsApp ends a connection', () => {
  const running = useStack({ runtime: 'process' })
  let database: Client
  beforeAll(async () => {
    database = new Client(running.stack.databaseUrl)
    await database.connect()
  })
  afterAll(() => database?.end())

  const endedBy = async (code: number) => {
    const account = await pairAccount(running.stack, running.events, `ended by ${code}`)
    await running.stack.simulator.admin.closeWith({ jid: account.phone, code })
    const session = await until(
      `the end by ${code}`,
      async () => {
        const { rows } = await database.query<Row>(
          `select s.id, s.state, s.state_code as code, s.creds is not null as has_creds,
             (select coalesce(array_agg(k.type || ' ' || k.id), '{}') from signal_key k where k.session_id = s.id) as keys
           from session s where s.account_id = $1`,
          [account.id],
        )
        return rows[0] as Row
      },
      (row) => row.code === code,
    )
    const { rows: archived } = await database.query(
      `select reason, length(creds) > 0 as creds, length(keys) > 0 as keys
       from credential_archive where session_id = $1`,
      [session.id],
    )
    return { session, archived }
  }

  test('406 ends them: they are archived, and only then cleared', async () => {
    const { session, archived } = await endedBy(406)
    expect(session).toMatchObject({ state: 'logged_out', has_creds: false, keys: [] })
    expect(archived).toEqual([{ reason: '406 banned', creds: true, keys: true }])
  })

  test.each([
    [403, 'error'],
    [405, 'reconnecting'],
    [411, 'error'],
  ])('%i does not: the session is %s, and keeps them', async (code, state) => {
    const { session, archived } = await endedBy(code)
    expect(session).toMatchObject({ state, has_creds: true })
    expect(session.keys.length).toBeGreaterThan(0)
    expect(archived).toEqual([])
  })
})
