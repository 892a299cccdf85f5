/** Which phone number and which LID are one person, as one account learns it. */
import type { Address } from '@palomar/session-node/contract'
import type { ClientBase } from 'pg'
import { prepared, type Queryable } from '../db/database.ts'
import { known } from './address.ts'

export interface Pair {
  pn: string
  lid: string
}

const read = prepared<Pair>(
  'identity_read',
  'select pn, lid from identity where account_id = $1 and (pn = any($2) or lid = any($3))',
)
const forget = prepared(
  'identity_forget',
  'delete from identity where account_id = $1 and (pn = any($2) or lid = any($3))',
)
const insert = prepared(
  'identity_insert',
  `insert into identity (account_id, pn, lid) select $1, * from unnest($2::text[], $3::text[])
   on conflict do nothing`,
)

/** The identities that a batch of addresses touches: completes each of them with what is known. */
export class Identities {
  readonly #byPn = new Map<string, string>()
  readonly #byLid = new Map<string, string>()

  constructor(pairs: readonly Pair[] = []) {
    for (const pair of pairs) this.add(pair)
  }

  /** A number or LID that meant somebody else before means this person now. */
  add({ pn, lid }: Pair): void {
    const [otherLid, otherPn] = [this.#byPn.get(pn), this.#byLid.get(lid)]
    if (otherLid) this.#byLid.delete(otherLid)
    if (otherPn) this.#byPn.delete(otherPn)
    this.#byPn.set(pn, lid)
    this.#byLid.set(lid, pn)
  }

  has({ pn, lid }: Pair): boolean {
    return this.#byPn.get(pn) === lid
  }

  complete(address: Address): Address {
    const { jid, pn, lid } = known(address)
    return {
      jid,
      pn: pn ?? (lid && this.#byLid.get(lid)),
      lid: lid ?? (pn && this.#byPn.get(pn)),
    }
  }
}

/**
 * Reads what is known of these addresses and stores what `pairs` and the addresses themselves add to it. Only a
 * commit, which holds its session's lock, may write: so no two write the identities of one account at a time.
 * `fresh` are the pairs that were not known.
 */
export async function learnIdentities(
  tx: ClientBase,
  accountId: string,
  addresses: readonly Address[],
  pairs: readonly Pair[],
): Promise<{ identities: Identities; fresh: Pair[] }> {
  const people = addresses.map(known)
  const identities = await readIdentities(tx, accountId, [...people, ...pairs])
  const said = [...pairs, ...people.flatMap(({ pn, lid }) => (pn && lid ? [{ pn, lid }] : []))]
  const added = said.filter((pair) => {
    const isNew = !identities.has(pair)
    if (isNew) identities.add(pair)
    return isNew
  })
  if (added.length === 0) return { identities, fresh: [] }
  // Of two pairs in one batch that contradict each other, the later holds.
  const fresh = added.filter((pair) => identities.has(pair))
  await forget(tx, [accountId, added.map(({ pn }) => pn), added.map(({ lid }) => lid)])
  await insert(tx, [accountId, fresh.map(({ pn }) => pn), fresh.map(({ lid }) => lid)])
  return { identities, fresh }
}

/** What is known of these people, nothing written. */
export async function readIdentities(
  db: Queryable,
  accountId: string,
  people: readonly { pn?: string; lid?: string }[],
): Promise<Identities> {
  const pns = [...new Set(people.flatMap(({ pn }) => pn ?? []))]
  const lids = [...new Set(people.flatMap(({ lid }) => lid ?? []))]
  return new Identities(pns.length + lids.length > 0 ? await read(db, [accountId, pns, lids]) : [])
}
