import { Socket } from 'node:net'
import { PrismaPg } from '@prisma/adapter-pg'
import pg, { type PoolClient, type QueryConfig, type QueryResult, type QueryResultRow } from 'pg'
import { connect } from './connect.ts'
import { PrismaClient } from './generated/client.ts'

/** The one way to Postgres: an ordinary client, and SQL for the hot paths, over the same connections. */
export interface Database {
  pool: pg.Pool
  prisma: PrismaClient
  /** runs `work` in one READ COMMITTED transaction: commits when it returns, rolls back and rethrows when it throws */
  transaction<T>(work: Work<T>, options?: TransactionOptions): Promise<T>
  close(): Promise<void>
}

export type Work<T> = (client: PoolClient) => Promise<T | Ending<T>>

/**
 * What a transaction returns of statements that it has sent and not waited for: the commit shares their round trip.
 * Only of statements, since what else fails cannot stop the commit any more.
 */
export class Ending<T> {
  readonly result: Promise<T>
  constructor(result: Promise<T>) {
    this.result = result
  }
}

export interface TransactionOptions {
  /** how long a statement waits for a lock before it fails (55P03); default: for ever */
  lockTimeoutMs?: number
  /**
   * Called once the commit has been sent, to send on the same connection what is to run right behind it, whether it
   * succeeds or not. The connection is kept until what it gives has resolved; it must not reject.
   */
  behind?: (connection: Queryable) => Promise<unknown> | undefined
}

export interface DatabaseOptions {
  /** connections at most; default 20 */
  maxConnections?: number
  /** told when a connection dies while nobody uses it; the pool replaces it by itself */
  onIdleError?: (error: Error) => void
}

/**
 * Each statement is planned once a connection: planning anew for every array's length, as Postgres would, takes longer
 * than most of them run. Such a plan must be right for any parameters and also when the tables have grown: so it meets
 * tables by index only, and no statement may have a condition that a parameter switches off.
 */
const settings = [
  'plan_cache_mode=force_generic_plan',
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
]

/**
 * What is written in one turn of the event loop leaves in one system call. Each one costs some 0.1 ms on either side,
 * more than most of our statements do: without this, they are a third of the orchestrator's CPU time.
 */
class GatheringSocket extends Socket {
  override uncork(): void {
    process.nextTick(() => super.uncork())
  }
}

/** Opens the pool and proves that the server answers. Throws a `StartupError` when it does not. */
export async function openDatabase(url: string, options: DatabaseOptions = {}): Promise<Database> {
  await (await connect(url)).end()
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections ?? 20,
    connectionTimeoutMillis: 10_000,
    options: settings.map((setting) => `-c ${setting}`).join(' '),
    // Statements that do not need each other's answers share a round trip: see `together`.
    pipeline: true,
    stream: () => new GatheringSocket(),
  })
  pool.on('error', (error) => options.onIdleError?.(error))
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool) })
  return {
    pool,
    prisma,
    transaction: (work, options) => inTransaction(pool, work, options),
    async close() {
      await prisma.$disconnect()
      await pool.end()
    },
  }
}

/** Runs `work` between begin and commit on a connection of its own. A connection that cannot roll back is discarded. */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: Work<T>,
  { lockTimeoutMs, behind }: TransactionOptions = {},
): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  let last: Promise<unknown> | undefined
  const onError = (error: Error) => {
    broken = error // `work`'s next query says it too; without a listener it would end the process
  }
  client.on('error', onError)
  try {
    // Awaited only after the work, so that it travels with the first statement; on a connection that lives it cannot fail.
    const began: Promise<unknown> =
      lockTimeoutMs === undefined
        ? begin(client)
        : client.query(`begin; set local lock_timeout = ${Math.ceil(lockTimeoutMs)}`)
    began.catch(onError)
    const done = await work(client)
    const result = done instanceof Ending ? done.result : Promise.resolve(done)
    const committed = client.query('commit')
    last = behind?.(client)
    const [, value, { command }] = await together(began, result, committed)
    // After a statement that failed, Postgres answers a commit with a rollback, and calls it no error.
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back by Postgres')
    return value
  } catch (error) {
    await client.query('rollback').catch(onError)
    throw error
  } finally {
    const release = () => {
      client.off('error', onError)
      client.release(broken)
    }
    if (last) void last.then(release)
    else release()
  }
}

/**
 * Waits for statements that were sent together, so that they share a round trip; throws the first one's failure, but
 * not before the last has ended: what it still sent after a rollback would stand by itself.
 */
export async function together<T extends readonly Promise<unknown>[]>(...statements: T) {
  await Promise.allSettled(statements)
  return Promise.all(statements)
}

/** Ends a transaction with statements whose answers nobody needs. */
export function endWith<T>(tx: Queryable, statements: readonly QueryConfig[], result: T): Ending<T> {
  return new Ending(together(...statements.map((statement) => tx.query(statement))).then(() => result))
}

/** Whatever runs a query: the pool, or a transaction's client. */
export interface Queryable {
  query<R extends QueryResultRow>(config: QueryConfig): Promise<QueryResult<R>>
}

/**
 * A statement that Postgres parses and plans once a connection.
 *
 *     const touch = prepared<{ id: string }>('touch', 'update t set at = now() where id = $1 returning id')
 *     const rows = await touch(database.pool, [id])
 *     return endWith(client, [touch.with([id])], result)
 *
 * `name` must be unique in the process: pg refuses the same name for another text.
 */
export function prepared<R extends QueryResultRow>(name: string, text: string) {
  const run = async (queryable: Queryable, values: unknown[] = []): Promise<R[]> =>
    (await queryable.query<R>({ name, text, values })).rows
  return Object.assign(run, { with: (values: unknown[]): QueryConfig => ({ name, text, values }) })
}

const begin = prepared('begin', 'begin')
