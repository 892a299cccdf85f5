import type { Counters } from '../counters.ts'
import type { Directory } from '../directory/directory.ts'
import type { LinkedDevice } from '../directory/linked-device.ts'
import type { PreKeys } from '../directory/prekeys.ts'
import type { Faults } from '../faults/faults.ts'
import type { GroupRequests } from '../groups/requests.ts'
import type { ServerIdentity } from '../noise/certificate.ts'
import type { Lobby } from '../phone/lobby.ts'
import type { Router } from '../router/router.ts'
import type { AppState } from './app-state.ts'
import type { Session } from './session.ts'

/** The rooms that a connection talks to. */
export interface Server {
  readonly identity: ServerIdentity
  readonly counters: Counters
  readonly directory: Directory
  readonly preKeys: PreKeys
  readonly router: Router
  readonly lobby: Lobby
  readonly faults: Faults
  readonly appState: AppState
  readonly groups: GroupRequests
  /** the live session of each device that has one */
  readonly sessions: Map<LinkedDevice, Session>
  /** logins to be turned away, and how often still */
  readonly refusals: Map<LinkedDevice, { code: number; times: number; expire?: number }>
  /** a device's first login is complete: its phone may send the history */
  onFirstLogin(device: LinkedDevice): void
  /** removes a device from its account and tells everybody */
  unlink(device: LinkedDevice): void
}
