/** What a benchmark asks of the process that holds the raw Baileys clients, and what it answers. */

export interface RawCalls {
  /** makes a client and waits for its QR */
  qr: { args: { client: number }; result: { qr: string; qrMs: number } }
  /** waits until it is open; the time is that of the event, ms since the epoch */
  open: { args: { client: number }; result: { at: number } }
  /** sends texts from each client, each timed until the server's ack */
  send: {
    args: { clients: number[]; inFlight: number; count: number; to: string }
    result: { times: number[]; seconds: number }
  }
  /** from then on it also sends by bare HTTP, POST {client, to, text}, answered at the server's ack */
  listen: { args: Record<string, never>; result: { url: string } }
  end: { args: { client: number }; result: null }
}
export type RawCall = keyof RawCalls

export interface RawRequest<C extends RawCall = RawCall> {
  n: number
  call: C
  args: RawCalls[C]['args']
}
export type RawAnswer = { n: number; result: RawCalls[RawCall]['result'] } | { n: number; error: string }
