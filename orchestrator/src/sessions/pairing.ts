/** QR and pairing code: asked of the session's node, which is waited for if it is still on its way. */
import type { PairingCodeResult, QrResult } from '@palomar/session-node/contract'
import { PalomarError } from '../errors.ts'
import type { NodeClient } from '../nodes/node-client.ts'
import type { NodeClients } from '../nodes/node-clients.ts'
import { NodeError } from '../nodes/node-error.ts'
import { readCurrentNode } from '../nodes/node-rows.ts'
import { changeState } from './change-state.ts'
import { startAgain } from './lifecycle.ts'
import type { Reconciler } from './reconciler.ts'
import { changeSession, type SessionTransactions } from './session-transaction.ts'
import { type AccountRef, findSessionId } from './session-view.ts'

export interface PairingOptions extends SessionTransactions {
  clients: NodeClients
  reconciler: Pick<Reconciler, 'wake'>
}

export type Pairing = ReturnType<typeof createPairing>

/** how long nothing is heard before looking again: changes are told, but only within this process */
const lookAgainMs = 500
const pairingCodeMs = 20_000

export function createPairing(options: PairingOptions) {
  const { database, clients, changes, reconciler } = options

  /** Throws unless the session may pair; one whose pairing had ended begins anew. */
  async function begin(sessionId: string): Promise<void> {
    const found = await changeSession(options, sessionId, async (tx, session) => {
      if (session.desired === 'stopped') throw new PalomarError('session_stopped')
      const { rows } = await tx.query<{ paired: boolean }>(
        'select me is not null as paired from session where id = $1',
        [sessionId],
      )
      if (session.state === 'logged_out') return startAgain(tx, session)
      if (rows[0]?.paired) throw new PalomarError('session_already_paired')
      // Its node is there, and starts pairing again when it is asked for a code.
      return (await changeState(tx, session, 'start_requested')).events
    })
    if (!found) throw new PalomarError('account_not_found')
    reconciler.wake(sessionId)
  }

  async function attachedNode(sessionId: string): Promise<NodeClient | undefined> {
    const node = await readCurrentNode(database.pool, sessionId)
    if (node?.status !== 'running' || !node.attachedAt || !node.address) return undefined
    return clients.of({ nodeId: node.id, sessionId, address: node.address })
  }

  /** Asks the node, waiting for it and asking its successor when it goes away, until the time is over. */
  async function ask<T>(
    account: AccountRef,
    waitMs: number,
    signal: AbortSignal | undefined,
    question: (node: NodeClient, leftMs: number) => Promise<T>,
  ): Promise<T> {
    const deadline = Date.now() + waitMs
    const left = () => Math.max(0, deadline - Date.now())
    const sessionId = await findSessionId(database, account)
    await begin(sessionId)
    for (let failure: unknown; ; ) {
      // Listening before looking, so that nothing happens in between.
      const change = changes.next(sessionId, Math.min(lookAgainMs, left()), signal)
      const node = await attachedNode(sessionId)
      if (node) {
        try {
          return await question(node, left())
        } catch (error) {
          if (!goneAway(error)) throw asCallersSeeIt(error)
          failure = error
        }
      }
      await change
      if (left() === 0 || signal?.aborted)
        throw new PalomarError('node_unavailable', undefined, { cause: failure })
    }
  }

  return {
    /**
     * The QR to scan, waited for up to `waitMs`. Throws `session_already_paired`, `session_stopped`,
     * `pairing_unavailable` (WhatsApp gave none in time), `node_unavailable`, `account_not_found`.
     */
    getQr: (account: AccountRef, waitMs: number, signal?: AbortSignal): Promise<QrResult> =>
      ask(account, waitMs, signal, (node, leftMs) => node.qr(leftMs, signal)),

    /** A code to type into the phone with that number (digits with country code). Throws as `getQr` does. */
    requestPairingCode: (
      account: AccountRef,
      phone: string,
      signal?: AbortSignal,
    ): Promise<PairingCodeResult> =>
      ask(account, pairingCodeMs, signal, (node) => node.pairingCode(phone, signal)),
  }
}

/** The node has ended or is about to be replaced; there will be another. */
const goneAway = (error: unknown) =>
  error instanceof NodeError && ['unreachable', 'no_answer', 'fenced'].includes(error.code)

function asCallersSeeIt(error: unknown): unknown {
  if (!(error instanceof NodeError)) return error
  if (error.code === 'already_paired')
    return new PalomarError('session_already_paired', undefined, { cause: error })
  if (error.code === 'pairing_unavailable')
    return new PalomarError('pairing_unavailable', error.message, { cause: error })
  return new PalomarError('node_unavailable', error.message, { cause: error })
}
