/** Keeps what is needed to understand a failing run: what was done, what was found, and every log. */
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Stack } from '../harness/stack.ts'
import { connect } from '../orchestrator/src/db/connect.ts'
import type { Run } from './run.ts'

/** Writes it all into the folder; of a run that broke off, the logs alone. */
export async function keepRecord(folder: string, stack: Stack, run: Run | undefined): Promise<void> {
  await mkdir(folder, { recursive: true })
  const write = (name: string, content: unknown) =>
    writeFile(
      path.join(folder, name),
      typeof content === 'string' ? content : JSON.stringify(content, null, 1),
    )
  for (const part of ['orchestrator.log', 'postgres.log', 'nodes'])
    await cp(path.join(stack.dataDir, part), path.join(folder, part), { recursive: true }).catch(
      ignoreMissing,
    )
  if (run) {
    await write('steps.json', run.steps)
    await write(
      'deeds.txt',
      run.deeds.map(({ at, what }) => `${new Date(at).toISOString()} ${what}`).join('\n'),
    )
    await write('verdict.json', { drained: run.drained, ...run.verdict })
    await write('evidence.json', run.evidence)
  }
  await write('counters.json', await stack.simulator.admin.counters())
  await write('tables.json', await tables(stack.databaseUrl))
  for (const account of run?.evidence.history.accounts ?? []) {
    const log = await stack.client.request<string>('GET', `/api/accounts/${account}/logs?tail=5000`)
    await write(`session-${account}.log`, String(log.body))
  }
}

/** The folders of runs that failed before are left alone. */
export async function newFolder(root: string, name: string): Promise<string> {
  await mkdir(root, { recursive: true })
  const taken = new Set(await readdir(root))
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name}-${n}`
    if (!taken.has(candidate)) return path.join(root, candidate)
  }
}

async function tables(databaseUrl: string): Promise<Record<string, unknown[]>> {
  const client = await connect(databaseUrl)
  try {
    const read = async (sql: string) => (await client.query(sql)).rows
    return {
      sessions: await read(
        `select id, account_id, desired, state, state_code, state_reason, state_since, generation, last_seq, failures,
           not_before, restarts from session`,
      ),
      nodes: await read('select * from node order by started_at'),
      lanes: await read('select * from lane'),
      jobs: await read(`select * from lane_job where state <> 'done' or last_error is not null`),
      unsettled: await read(
        'select session_id, seq, stanza, created_at from inbox_entry where settled_at is null',
      ),
    }
  } finally {
    await client.end()
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  // The docker driver has no folder of nodes.
  if (error.code !== 'ENOENT') throw error
}
