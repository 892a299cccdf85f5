/** Commits: what a node has to remember, refused and told when it does not fit the contract. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type CommitRequest,
  type CommitResult,
  commitRequest,
  MAX_COMMIT_BYTES,
} from '@palomar/session-node/contract'
import { PalomarError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import type { Secrets } from '../../secrets.ts'
import { createRefuse } from '../error-handler.ts'
import { isPlainJson, readJson, writeJson } from '../json-body.ts'
import { parsePart } from '../route.ts'
import { nodeOf } from './node-auth.ts'

export interface CommitApi {
  secrets: Secrets
  commit(sessionId: string, request: CommitRequest): Promise<CommitResult>
  /** a node sent what does not fit the contract: the session is marked, the node refused */
  refuseCommit(sessionId: string, error: PalomarError): Promise<void>
  logger: Logger
}

/** A body that cannot even be read is a commit refused, too: the session is marked, whatever was wrong. */
export async function takeCommit(
  api: CommitApi,
  sessionId: string,
  read: () => Promise<unknown>,
): Promise<CommitResult> {
  let commit: CommitRequest
  try {
    commit = parsePart(commitRequest, await read(), '') as CommitRequest
  } catch (error) {
    if (error instanceof PalomarError) await api.refuseCommit(sessionId, error)
    throw error
  }
  return api.commit(sessionId, commit)
}

const commitsPath = /^\/internal\/sessions\/([^/?]+)\/commits$/

/**
 * `POST /internal/sessions/{id}/commits` on bare `node:http`: every message comes this way, in or out, and Express
 * would cost it some 0.1 ms of CPU. False when the request is not quite what a node sends (another path, token or kind
 * of body, or too much of it): nothing of it has been read then, and Express, which has this route too, says what is
 * wrong.
 */
export function createCommitHandler(api: CommitApi): (req: IncomingMessage, res: ServerResponse) => boolean {
  const refuse = createRefuse(api.logger)

  async function answer(sessionId: string, req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      writeJson(res, 200, await takeCommit(api, sessionId, () => readJson(req)))
    } catch (error) {
      refuse(error, req, res)
    }
  }

  return (req, res) => {
    const sessionId = req.method === 'POST' && commitsPath.exec(req.url ?? '')?.[1]
    if (!sessionId || !nodeOf(api.secrets, sessionId, req) || !isPlainJson(req, MAX_COMMIT_BYTES))
      return false
    void answer(sessionId, req, res)
    return true
  }
}
