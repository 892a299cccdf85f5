import { expect, onTestFinished, test } from 'vitest'
import { type SendingStage, setSendingStage } from '../../test/sending-stage.ts'
import { listConversations, readConversation } from '../messages/conversation-queries.ts'
import { listDeadLetters } from '../messages/dead-letters.ts'
import { listMessages } from '../messages/message-queries.ts'
import { readStoredMessage } from '../messages/stored-message.ts'

/** those whose rows grow with what an owner sends, receives and remembers */
const growing = 'message|conversation|event|lane_job|signal_key|inbox_entry|identity'
/** what a plan does that is no worse in a large table: it finds rows by more than whose they are */
const readsAllOfAnOwner = new RegExp(
  `on (${growing})\\b[^\\n]*\\n *(Index|Recheck) Cond: \\(\\(?(account_id|session_id|tenant_id) = [^()]*(\\(InitPlan[^()]*\\)[^()]*)?\\)+(\\n|$)`,
)
const switchedOff = /\$\d+(::\w+)? is (not )?null/
const readsAll = new RegExp(
  `Seq Scan on (${growing})\\b|Index (Only )?Scan using \\w+ on (${growing})\\b[^\\n]*\\n(?! *Index Cond)`,
)

/** A connection keeps its plans, so those that were made when the tables were empty must do for full ones. */
test('no statement reads all that an account has, also where it was planned on empty tables', async () => {
  const stage = await setSendingStage()
  onTestFinished(() => stage.strike())
  await useEverything(stage)

  const plans = await plansOf(stage.database.pool)
  expect([...plans.keys()]).toEqual(
    expect.arrayContaining([
      'lane-claim-send-work',
      'key_commit',
      'inbox_settle',
      'status_write',
      'outbound_insert',
    ]),
  )
  for (const [name, { plan, statement }] of plans) {
    expect.soft(plan, name).not.toMatch(readsAllOfAnOwner)
    expect.soft(plan, name).not.toMatch(readsAll)
    // The generic plan must do for either case, so it does for neither.
    expect.soft(statement, name).not.toMatch(switchedOff)
  }
})

/** What an account does in its ordinary life, so that its statements are planned. */
async function useEverything(stage: SendingStage): Promise<void> {
  const { pool } = stage.database
  const one = await stage.account()
  const first = await stage.accept(one, 'first')
  await stage.end(one, first)
  const reply = await stage.accept(one, 'second', { context: { message_id: first.id } })
  await stage.end(one, reply)
  const peer = { jid: '491700000001@s.whatsapp.net', pn: '491700000001' }
  const hash = '0'.repeat(64)
  const key = { type: 'session', id: 'x' }
  await stage.commit(one, {
    keys: [{ ...key, value: 'one' }],
    inbox: [{ hash, plaintext: 'aGk=', stanza: { attrs: {}, enc_type: 'msg' } }],
  })
  await stage.commit(one, { keys: [{ ...key, value: null }] })
  const chat = { chat: peer, sender: peer, from_me: false, timestamp: 1_700_000_000 }
  const content = { type: 'text', text: { body: 'hello' } } as const
  await stage.report(one, { type: 'message', origin: 'live', id: 'A', ...chat, content, settles: [hash] })
  const times = { timestamp: 1_700_000_000 }
  await stage.report(one, { type: 'ack', id: first.wa_id, ...times })
  await stage.report(one, { type: 'receipt', ids: [first.wa_id], status: 'read', chat: peer, ...times })
  await stage.commit(one, { keys: [{ ...key, value: null }], events: [{ type: 'settled', hashes: [hash] }] })
  await readStoredMessage(pool, one.sessionId, first.wa_id)
  await listMessages(pool, one.tenantId, first.conversation_id, { limit: 10 })
  await listConversations(pool, one.tenantId, { limit: 10 })
  await readConversation(pool, one.tenantId, first.conversation_id)
  await listDeadLetters(pool, one.tenantId, { limit: 10 })
}

interface Planned {
  statement: string
  plan: string
}

/** The plans of all statements that the pool's connections have prepared, by name. */
async function plansOf(pool: SendingStage['database']['pool']): Promise<Map<string, Planned>> {
  const plans = new Map<string, Planned>()
  const clients = await Promise.all(Array.from({ length: pool.idleCount }, () => pool.connect()))
  try {
    for (const client of clients) {
      const { rows } = await client.query<{ name: string; statement: string }>(
        `select name, statement from pg_prepared_statements where name <> '' and statement ~* '^(with|select|insert|update|delete)\\M'`,
      )
      for (const { name, statement } of rows) {
        const { rows: lines } = await client.query(`explain (generic_plan) ${statement}`)
        plans.set(name, { statement, plan: lines.map((line) => line['QUERY PLAN']).join('\n') })
      }
    }
  } finally {
    for (const client of clients) client.release()
  }
  return plans
}
