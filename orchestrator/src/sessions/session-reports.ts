/** What a node says of its connection, applied inside the commit that carries it. */
import type { NodeEvent } from '@palomar/session-node/contract'
import type pg from 'pg'
import { postgresJson, postgresText } from '../events/postgres-json.ts'
import type { NewEvent } from '../events/types.ts'
import { changeState, type StateChange, sessionEvent } from './change-state.ts'
import { archiveCredentials } from './credential-archive.ts'
import type { SessionRow } from './session-row.ts'
import type { SessionInput } from './state-table.ts'

export type StateReport = Extract<NodeEvent, { type: 'state' }>
export type QrReport = Extract<NodeEvent, { type: 'qr' }>

/** Only these end credentials: WhatsApp's codes for logged out (401) and banned (406), and our own request (no code). */
const endsCredentials = ({ state, code }: StateReport) =>
  state === 'logged_out' && (code === undefined || code === 401 || code === 406)

/**
 * Applies the reports in order; `session` must be locked. Returns the events to append in the same transaction.
 * A report that the state table refuses, or that comes from a node which is being stopped, changes nothing and is
 * told to `onRefused`.
 */
export async function applySessionReports(
  tx: pg.ClientBase,
  session: SessionRow,
  reports: readonly (StateReport | QrReport)[],
  onRefused?: (report: StateReport | QrReport, session: SessionRow) => void,
): Promise<NewEvent[]> {
  const events: NewEvent[] = []
  let current = session
  for (const report of reports) {
    const change =
      report.type === 'qr' ? await applyQr(tx, current, report) : await applyState(tx, current, report)
    if (change.refused) onRefused?.(report, current)
    events.push(...change.events)
    current = change.session
  }
  return events
}

async function applyState(tx: pg.ClientBase, session: SessionRow, report: StateReport): Promise<StateChange> {
  const cause = { code: report.code, reason: report.reason }
  if (endsCredentials(report)) {
    const why = [report.code, report.reason ?? 'logged out'].filter((part) => part !== undefined)
    await archiveCredentials(tx, session.id, why.join(' '))
    return changeState(tx, session, 'report:logged_out', cause)
  }
  if (session.desired === 'stopped') return { session, events: [], refused: true }
  // Its goodbye is no news of a session that goes on with another node.
  if (report.state === 'closed' && (await isRetiring(tx, session.id)))
    return { session, events: [], refused: true }
  // Any other end leaves the credentials alone, so it is not a logout.
  const input: SessionInput = report.state === 'logged_out' ? 'report:error' : `report:${report.state}`
  const change = await changeState(tx, session, input, cause)
  if (!report.me || change.refused) return change
  const duplicates = await rememberMe(tx, session, report.me)
  for (const { type, data } of change.events)
    if (type === 'session.status.connected')
      Object.assign(data, { me: report.me }, duplicates.length > 0 && { duplicate_of: duplicates })
  return change
}

async function isRetiring(tx: pg.ClientBase, sessionId: string): Promise<boolean> {
  const { rowCount } = await tx.query(`select from node where session_id = $1 and status = 'stopping'`, [
    sessionId,
  ])
  return rowCount !== 0
}

/** A QR without `waiting_qr` being possible belongs to nobody. */
async function applyQr(tx: pg.ClientBase, session: SessionRow, report: QrReport): Promise<StateChange> {
  if (session.desired === 'stopped') return { session, events: [], refused: true }
  const change = await changeState(tx, session, 'report:waiting_qr')
  if (change.refused) return change
  await tx.query('update session set qr_text = $2, qr_expires_at = $3 where id = $1', [
    session.id,
    postgresText(report.text),
    report.expires_at,
  ])
  const qr = { text: report.text, expires_at: report.expires_at }
  return { ...change, events: [...change.events, sessionEvent(change.session, 'session.qr.updated', { qr })] }
}

/**
 * Stores who the session is. Returns other accounts of the tenant that are paired with the same phone: WhatsApp
 * allows it (they are two linked devices), but every message will come twice, so the connected event says it. It is no
 * constraint, because a commit that cannot land would lose the messages that it carries.
 */
async function rememberMe(
  tx: pg.ClientBase,
  session: SessionRow,
  me: NonNullable<StateReport['me']>,
): Promise<string[]> {
  await tx.query('update session set me = $2 where id = $1', [session.id, postgresJson(me)])
  await tx.query(
    `update account set updated_at = now(),
       lid = case when $2::text is null or $2 = phone then coalesce($3, lid) else $3 end,
       phone = coalesce($2, phone), push_name = coalesce($4, push_name)
     where id = $1 and (phone, lid, push_name) is distinct from
       (coalesce($2, phone), coalesce($3, lid), coalesce($4, push_name))`,
    [session.accountId, me.pn ?? null, me.lid ?? null, me.name === undefined ? null : postgresText(me.name)],
  )
  if (!me.pn) return []
  const { rows } = await tx.query<{ id: string }>(
    `select a.id from account a join session s on s.account_id = a.id
     where a.tenant_id = $1 and a.phone = $2 and a.id <> $3 and s.me is not null
     order by a.created_at limit 10`,
    [session.tenantId, me.pn, session.accountId],
  )
  return rows.map((row) => row.id)
}
