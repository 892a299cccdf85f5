/** Carries the schedule out, and undoes at the end whatever it has done. */
import { setTimeout as delay } from 'node:timers/promises'
import type { LinkName } from '../harness/links.ts'
import type { ListNodes, LiveNode } from '../harness/node-control.ts'
import type { Stack } from '../harness/stack.ts'
import { keepAlive, type OrchestratorKeeper } from './orchestrator-keeper.ts'
import type { Act, Step } from './schedule.ts'

/** An account as the nemesis knows it: where its node is found, and its device. */
export interface Target {
  sessionId: string
  jid: string
}

export interface Deed {
  at: number
  what: string
}

export interface Nemesis {
  readonly kills: number
  readonly pauses: number
  readonly cuts: number
  /** times that the orchestrator ended by itself */
  readonly crashes: number
  /** all that was really done, for the record of a failing run */
  readonly deeds: readonly Deed[]
  /** Does every step at its time; resolves when the last has been undone. Stops early at the signal. */
  run(steps: Step[], signal: AbortSignal): Promise<void>
  /** Undoes all: everything runs, every link is good, no fault is on. */
  heal(): Promise<void>
}

export interface NemesisOptions {
  stack: Stack
  targets: Target[]
  listNodes: ListNodes
}

export function createNemesis({ stack, targets, listNodes }: NemesisOptions): Nemesis {
  const { links, postgres, orchestrator, simulator } = stack
  if (!links || !postgres) throw new Error('the nemesis needs a stack with links and a Postgres of its own')
  const keeper: OrchestratorKeeper = keepAlive(orchestrator, (what) => note(what))
  const counts = { kills: 0, pauses: 0, cuts: 0, crashes: 0 }
  const deeds: Deed[] = []
  const paused = new Set<LiveNode>()
  const busy = new Map<string, Promise<void>>()
  const note = (what: string) => void deeds.push({ at: Date.now(), what })

  /** Acts on one thing wait for each other. */
  function alone(thing: string, work: () => Promise<void>): Promise<void> {
    const next = (busy.get(thing) ?? Promise.resolve()).then(work)
    const settled = next
      .catch(() => undefined)
      .then(() => {
        if (busy.get(thing) === settled) busy.delete(thing)
      })
    busy.set(thing, settled)
    return next
  }

  /** The account's node; where it has none just now, another's, so that no blow falls into the void. */
  async function nodeOf(account: number): Promise<LiveNode | undefined> {
    const target = targets[account]
    const nodes = await listNodes()
    return nodes.find(({ sessionId }) => sessionId === target?.sessionId) ?? nodes[0]
  }

  async function killNode(account: number): Promise<void> {
    const node = await nodeOf(account)
    if (!node || !(await node.kill())) return note('no node to kill')
    paused.delete(node)
    counts.kills++
    note(`killed ${node.name} of session ${node.sessionId}`)
  }

  async function pauseNode(account: number, forMs: number): Promise<void> {
    const node = await nodeOf(account)
    if (!node || !(await node.pause())) return note('no node to pause')
    paused.add(node)
    counts.pauses++
    note(`paused ${node.name} of session ${node.sessionId} for ${forMs} ms`)
    await delay(forMs)
    await node.resume()
    paused.delete(node)
  }

  async function killPostgres(downMs: number): Promise<void> {
    await postgres?.kill()
    counts.kills++
    note(`killed Postgres for ${downMs} ms`)
    await delay(downMs)
    await postgres?.start()
    note('Postgres is back')
  }

  async function disturb(link: LinkName, conditions: object, forMs: number): Promise<void> {
    links?.[link].set(conditions)
    note(`${link} link ${JSON.stringify(conditions)} for ${forMs} ms`)
    await delay(forMs)
    links?.[link].set({})
  }

  async function cut(link: LinkName, forMs: number): Promise<void> {
    counts.cuts++
    const done = disturb(link, { refuse: true }, forMs)
    links?.[link].reset()
    await done
  }

  /** A device that is not connected cannot lose its connection: the simulator says 409. */
  async function onConnection(account: number, what: string, call: () => Promise<unknown>): Promise<void> {
    const refused = await call().then(
      () => undefined,
      (error: unknown) => String(error),
    )
    if (refused && !refused.includes(' 409 ')) throw new Error(refused)
    note(`${what} on account ${account}${refused ? ': not connected' : ''}`)
  }

  function perform(act: Act): Promise<void> {
    const jid = 'account' in act ? (targets[act.account]?.jid ?? '') : ''
    switch (act.do) {
      case 'kill-node':
        return killNode(act.account)
      case 'pause-node':
        return alone(`node ${act.account}`, () => pauseNode(act.account, act.forMs))
      case 'kill-orchestrator':
        return alone('orchestrator', async () => {
          counts.kills++
          await keeper.kill(act.downMs)
        })
      case 'pause-orchestrator':
        return alone('orchestrator', async () => {
          counts.pauses++
          await keeper.pause(act.forMs)
        })
      case 'kill-postgres':
        return alone('postgres', () => killPostgres(act.downMs))
      case 'cut-link':
        return alone(act.link, () => cut(act.link, act.forMs))
      case 'bend-link':
        return alone(act.link, () => disturb(act.link, act.conditions, act.forMs))
      case 'drop':
        return onConnection(act.account, act.how, () => simulator.admin.drop(jid, act.how))
      case 'close':
        return onConnection(act.account, `close ${act.code}`, () =>
          simulator.admin.closeWith({ jid, code: act.code }),
        )
      case 'faults':
        return alone('faults', async () => {
          await simulator.admin.setFaults(act.settings)
          note(`faults ${JSON.stringify(act.settings)} for ${act.forMs} ms`)
          await delay(act.forMs)
          await simulator.admin.setFaults({})
        })
    }
  }

  return {
    get kills() {
      return counts.kills
    },
    get pauses() {
      return counts.pauses
    },
    get cuts() {
      return counts.cuts
    },
    get crashes() {
      return counts.crashes
    },
    deeds,
    async run(steps, signal) {
      const began = performance.now()
      const acts: Promise<void>[] = []
      const watch = setInterval(() => {
        if (orchestrator.running || busy.has('orchestrator')) return
        counts.crashes++
        acts.push(alone('orchestrator', keeper.ensure))
      }, 250)
      for (const { atMs, act } of steps) {
        const go = await delay(Math.max(0, atMs - (performance.now() - began)), true, { signal }).catch(
          () => false,
        )
        if (!go) break
        acts.push(perform(act))
      }
      clearInterval(watch)
      await Promise.all(acts)
    },
    async heal() {
      await Promise.allSettled(busy.values())
      for (const node of paused) await node.resume()
      for (const link of Object.values(links)) link.set({})
      await simulator.admin.setFaults({})
      await keeper.ensure()
      note('healed')
    },
  }
}
