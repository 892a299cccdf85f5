/** What the server has seen since it started. Plain numbers, so that counting costs nothing. */

export interface Violation {
  /** what was broken, in kebab-case: "signed-prekey-signature", "device-signature"… */
  readonly kind: string
  /** who broke it: a JID, or "unregistered" */
  readonly by: string
  readonly detail: string
}

/** enough to see a fault; a client that repeats it for ever must not fill the memory */
const KEPT_VIOLATIONS = 1000

export class Counters {
  connections = 0
  logins = 0
  pairings = 0
  messagesIn = 0
  messagesOut = 0
  acks = 0
  /** messages resent because their reader asked to retry */
  retries = 0
  /** messages whose id the same device had already sent, retries aside */
  repeats = 0
  readonly receipts: Record<string, number> = {}
  readonly queries: Record<string, number> = {}
  readonly violations: Violation[] = []

  receipt(type: string): void {
    this.receipts[type] = (this.receipts[type] ?? 0) + 1
  }

  query(kind: string): void {
    this.queries[kind] = (this.queries[kind] ?? 0) + 1
  }

  violation(kind: string, by: string, detail: string): void {
    if (this.violations.length < KEPT_VIOLATIONS) this.violations.push({ kind, by, detail })
  }
}
