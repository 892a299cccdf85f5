import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/database.ts'
import { Ending, openDatabase, prepared, type Queryable, together } from './database.ts'
import { StartupError } from './startup-error.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(() => database.close())

const insert = prepared('test-insert', 'insert into tenant (id, name) values ($1, $2)')
const count = prepared<{ n: number }>('test-count', 'select count(*)::int as n from tenant where id = $1')

test('a transaction lands whole, or not at all', async () => {
  const [kept, lost] = [randomUUID(), randomUUID()]
  const result = await database.transaction(async (tx) => {
    await insert(tx, [kept, 'kept'])
    return 'result'
  })
  const failure = database.transaction(async (tx) => {
    await insert(tx, [lost, 'lost'])
    throw new Error('on purpose')
  })
  await expect(failure).rejects.toThrow('on purpose')
  expect(result).toBe('result')
  expect(await count(database.pool, [kept])).toEqual([{ n: 1 }])
  expect(await count(database.pool, [lost])).toEqual([{ n: 0 }])
})

test('what is sent together ends before its transaction does, and the first failure is the one told', async () => {
  const late = randomUUID()
  const failure = database.transaction((tx) =>
    together(
      insert(tx, [randomUUID(), 'first']),
      Promise.reject(new Error('on purpose')),
      count(tx, [late]).then(() => insert(tx, [late, 'would stand by itself'])),
    ),
  )
  await expect(failure).rejects.toThrow('on purpose')
  expect(await count(database.pool, [late])).toEqual([{ n: 0 }])
})

test('what a transaction ends with lands with it, or fails it', async () => {
  const [kept, lost] = [randomUUID(), randomUUID()]
  const ending = (id: string, again: string) =>
    database.transaction(async (tx) => {
      await insert(tx, [id, 'first'])
      return new Ending(insert(tx, [again, 'last']).then(() => 'result'))
    })
  expect(await ending(kept, randomUUID())).toBe('result')
  expect(await count(database.pool, [kept])).toEqual([{ n: 1 }])
  await expect(ending(lost, lost)).rejects.toMatchObject({ code: '23505' })
  expect(await count(database.pool, [lost])).toEqual([{ n: 0 }])
})

test('a transaction that Postgres has given up is not taken for committed', async () => {
  const lost = randomUUID()
  const swallowed = database.transaction(async (tx) => {
    await insert(tx, [lost, 'lost'])
    await tx.query('select 1 / 0').catch(() => undefined)
  })
  await expect(swallowed).rejects.toThrow('rolled back')
  expect(await count(database.pool, [lost])).toEqual([{ n: 0 }])
})

test('a transaction with a lock timeout does not wait for ever, and leaves no limit behind', async () => {
  const id = randomUUID()
  await insert(database.pool, [id, 'locked'])
  const lock = prepared('test-lock', 'select 1 from tenant where id = $1 for update')
  await database.transaction(async (holder) => {
    await lock(holder, [id])
    const limited = database.transaction((tx) => lock(tx, [id]), { lockTimeoutMs: 10 })
    await expect(limited).rejects.toMatchObject({ code: '55P03' })
  })
  const { rows } = await database.pool.query('show lock_timeout')
  expect(rows).toEqual([{ lock_timeout: '0' }])
})

test('what runs behind a commit sees what it committed, also where it is rolled back', async () => {
  const [kept, lost] = [randomUUID(), randomUUID()]
  const seen: { n: number }[] = []
  const behind = (id: string) => (connection: Queryable) =>
    count(connection, [id]).then((rows) => void seen.push(...rows))
  await database.transaction((tx) => insert(tx, [kept, 'kept']), { behind: behind(kept) })
  const failing = async (tx: Queryable) =>
    new Ending(together(insert(tx, [lost, '1']), insert(tx, [lost, '2'])))
  await expect(database.transaction(failing, { behind: behind(lost) })).rejects.toMatchObject({
    code: '23505',
  })
  await expect.poll(() => seen).toEqual([{ n: 1 }, { n: 0 }])
  await expect.poll(() => database.pool.idleCount).toBe(database.pool.totalCount)
})

test('a transaction whose connection dies fails, and its connection is not used again', async () => {
  const failure = database.transaction((tx) => tx.query('select pg_terminate_backend(pg_backend_pid())'))
  await expect(failure).rejects.toThrow(/terminat/)
  await database.transaction((tx) => tx.query('select 1'))
})

test('Prisma and SQL see the same data', async () => {
  const id = randomUUID()
  await database.prisma.tenant.create({ data: { id, name: 'both' } })
  expect(await count(database.pool, [id])).toEqual([{ n: 1 }])
})

test('a prepared statement is planned once a connection', async () => {
  await database.transaction(async (tx) => {
    await count(tx, [randomUUID()])
    await count(tx, [randomUUID()])
    const { rows } = await tx.query(`select generic_plans + custom_plans as n from pg_prepared_statements
      where name = 'test-count'`)
    expect(Number(rows[0].n)).toBeGreaterThanOrEqual(2)
  })
})

test('says in one line that Postgres is unreachable', async () => {
  const failure = await openDatabase('postgresql://me:secret@127.0.0.1:1/db').catch((error) => error)
  expect(failure).toBeInstanceOf(StartupError)
  expect(failure.message).not.toMatch(/secret|\n/)
})

test('statements are planned once a connection, whatever their parameters', async () => {
  const { rows } = await database.pool.query('show plan_cache_mode')
  expect(rows).toEqual([{ plan_cache_mode: 'force_generic_plan' }])
})
