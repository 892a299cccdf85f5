/** What most tests here start from: a simulator, an orchestrator stand-in and a node between them. */
import { randomBytes } from 'node:crypto'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../simulator/src/simulator.ts'
import type { SendCommandInput } from '../contract/index.ts'
import { NodeProcess } from './node-process.ts'
import { type EventOf, OrchestratorStandIn } from './orchestrator-stand-in.ts'

export const PHONE = '34600000001'

export class Stage {
  readonly simulator: Simulator
  readonly orchestrator: OrchestratorStandIn
  readonly nodes: NodeProcess[] = []
  #eventsBefore = 0

  private constructor(simulator: Simulator, orchestrator: OrchestratorStandIn) {
    this.simulator = simulator
    this.orchestrator = orchestrator
  }

  static async set(options: SimulatorOptions = {}): Promise<Stage> {
    const [simulator, orchestrator] = await Promise.all([
      startSimulator(options),
      OrchestratorStandIn.start(),
    ])
    return new Stage(simulator, orchestrator)
  }

  /** another session of the same WhatsApp */
  static async beside({ simulator }: Stage): Promise<Stage> {
    return new Stage(simulator, await OrchestratorStandIn.start())
  }

  async startNode(options: { abandon?: boolean } = {}): Promise<NodeProcess> {
    this.#eventsBefore = this.orchestrator.events.length
    const node = await NodeProcess.start({
      orchestratorUrl: this.orchestrator.url,
      simulatorUrl: this.simulator.waUrl,
      rootKey: this.simulator.rootKey,
      ...options,
    })
    this.nodes.push(node)
    return node
  }

  /** a node that is paired and active */
  async pairedNode(): Promise<NodeProcess> {
    const node = await this.startNode()
    const { text } = await node.qr()
    await this.simulator.scanQr({ qr: text, phone: PHONE, name: 'Ana' })
    await this.active()
    return node
  }

  /** what the newest node has reported of its state, oldest first */
  get states(): EventOf<'state'>[] {
    return this.orchestrator.events
      .slice(this.#eventsBefore)
      .filter((event): event is EventOf<'state'> => event.type === 'state')
  }

  get state() {
    return this.states.at(-1)?.state
  }

  active(timeoutMs?: number): Promise<unknown> {
    return this.orchestrator.until(() => this.state === 'active', 'an active session', timeoutMs)
  }

  async strike(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
    await Promise.all([this.simulator.close(), this.orchestrator.close()])
  }
}

/** an id as WhatsApp Web makes them */
export const newId = () => `3EB0${randomBytes(9).toString('hex').toUpperCase()}`

export const textTo = (phone: string, body: string, id = newId()): SendCommandInput => ({
  id,
  to: { jid: `${phone}@s.whatsapp.net`, pn: phone },
  content: { type: 'text', text: { body } },
})
