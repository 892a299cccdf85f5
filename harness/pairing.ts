/** The steps that every run begins with: an account, its QR, a phone that scans it. */
import type { EventStream } from './palomar-client.ts'
import { openEvents } from './palomar-client.ts'
import type { Stack } from './stack.ts'

export interface PairedAccount {
  id: string
  name: string
  phone: string
  /** bare JIDs of its linked device */
  jid: string
  lid: string
  /** POST /api/accounts → QR known; QR scanned → connected */
  qrMs: number
  connectMs: number
}

/** Provisions one account over REST and has a simulated phone scan its QR. `onQr` sees the code before it is scanned. */
export async function pairAccount(
  stack: Pick<Stack, 'client' | 'simulator'>,
  events: EventStream,
  name: string,
  options: { phone?: string; onQr?: (qr: string, accountId: string) => Promise<void> | void } = {},
): Promise<PairedAccount> {
  const began = performance.now()
  const account = await stack.client.ok<{ id: string }>('POST', '/api/accounts', { name })
  const qrEvent = await events.waitFor(
    `QR of ${name}`,
    (event) => event.type === 'session.qr.updated' && event.account_id === account.id,
    60_000,
  )
  const qrMs = performance.now() - began
  const qr = await stack.client.ok<{ qr: string }>('GET', `/api/accounts/${account.id}/session/qr`)
  await options.onQr?.(qr.qr, account.id)
  const scanned = performance.now()
  const device = await stack.simulator.admin.scanQr({
    qr: qr.qr,
    name,
    ...(options.phone ? { phone: options.phone } : {}),
  })
  await events.waitFor(
    `connection of ${name}`,
    (event) =>
      event.type === 'session.status.connected' &&
      event.account_id === account.id &&
      BigInt(event.id) > BigInt(qrEvent.id),
    60_000,
  )
  return {
    id: account.id,
    name,
    phone: device.phone,
    jid: device.jid,
    lid: device.lid,
    qrMs,
    connectMs: performance.now() - scanned,
  }
}

/** Pairs n accounts, a few at a time. */
export async function pairAccounts(stack: Stack, n: number, atOnce = 3): Promise<PairedAccount[]> {
  const events = await openEvents(stack.client)
  const paired: PairedAccount[] = []
  const names = Array.from({ length: n }, (_, i) => `account ${i + 1}`)
  const worker = async () => {
    for (let name = names.shift(); name; name = names.shift())
      paired.push(await pairAccount(stack, events, name))
  }
  try {
    await Promise.all(Array.from({ length: atOnce }, worker))
  } finally {
    events.close()
  }
  return paired
}
