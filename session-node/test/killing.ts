/** Killing a node at the worst moment there is: a commit has been applied, and its answer has not been sent. */
import type { CommitRequest } from '../contract/index.ts'
import type { NodeProcess } from './node-process.ts'
import type { Stage } from './stage.ts'

type Stanza = CommitRequest['inbox'][number]['stanza']

/** resolves once the node is dead, by SIGKILL, at the first commit that fits */
export const killAt = (
  stage: Stage,
  node: NodeProcess,
  fits: (commit: CommitRequest) => boolean,
): Promise<void> =>
  new Promise((resolve) => {
    stage.orchestrator.onApplied = async (commit) => {
      if (!fits(commit)) return
      stage.orchestrator.onApplied = () => undefined
      await node.kill()
      resolve()
    }
  })

/** whether a commit has the plaintext of such a stanza */
export const holds =
  (fits: (stanza: Stanza) => boolean) =>
  (commit: CommitRequest): boolean =>
    commit.inbox.some(({ stanza }) => fits(stanza))

/** whether each stored plaintext is accounted for by an event */
export const settled = ({ orchestrator }: Stage): boolean =>
  [...orchestrator.inbox.values()].every(({ settled }) => settled)
