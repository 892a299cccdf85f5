/** Two conversations that turned out to be one person become one. */
import type { ClientBase } from 'pg'
import { prepared } from '../db/database.ts'

// Nobody may add a message to either while messages move: the foreign key's lock waits for this one.
const lock = prepared(
  'conversation_merge_lock',
  'select 1 from conversation where id in ($1, $2) order by id for update',
)
// Of two copies of a message stays the one that says more: the decrypted one, the one that the API made.
const dropLesser = prepared(
  'conversation_merge_lesser',
  `delete from message kept using message moved
   where kept.conversation_id = $1 and moved.conversation_id = $2 and moved.account_id = kept.account_id
     and moved.wa_id = kept.wa_id and moved.author = kept.author
     and ((kept.type = 'undecryptable' and moved.type <> 'undecryptable')
       or (kept.origin <> 'api' and moved.origin = 'api'))`,
)
const dropDuplicates = prepared(
  'conversation_merge_duplicates',
  `delete from message moved using message kept
   where kept.conversation_id = $1 and moved.conversation_id = $2 and moved.account_id = kept.account_id
     and moved.wa_id = kept.wa_id and moved.author = kept.author`,
)
const move = prepared(
  'conversation_merge_move',
  'update message set conversation_id = $1 where conversation_id = $2',
)
const remove = prepared<{ name: string | null; last: Date | null; resolved: Date | null }>(
  'conversation_merge_remove',
  `delete from conversation where id = $1
   returning name, last_message_at as last, resolved_at as resolved`,
)
const inherit = prepared(
  'conversation_merge_inherit',
  `update conversation set name = coalesce(name, $2), last_message_at = greatest(last_message_at, $3),
     resolved_at = coalesce(resolved_at, $4)
   where id = $1`,
)

/** Moves all of `absorbed` into `kept`; a message that both have stays once. `absorbed` is gone afterwards. */
export async function mergeConversations(tx: ClientBase, kept: string, absorbed: string): Promise<void> {
  await lock(tx, [kept, absorbed])
  await dropLesser(tx, [kept, absorbed])
  await dropDuplicates(tx, [kept, absorbed])
  await move(tx, [kept, absorbed])
  const [gone] = await remove(tx, [absorbed])
  if (gone) await inherit(tx, [kept, gone.name, gone.last, gone.resolved])
}
