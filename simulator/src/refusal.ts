/** A request the simulator's own API cannot do; the HTTP admin answers with `status` and the message. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
