/**
 * The bridge network of an installation's session nodes. They cannot reach each other on it; this machine reaches them,
 * and they reach this machine at the gateway.
 */
import { createServer } from 'node:net'
import type Docker from 'dockerode'
import { statusOf, unlessMissing } from './engine.ts'
import { codeOf } from './error-code.ts'
import { RuntimeError } from './runtime.ts'

const isolation = 'com.docker.network.bridge.enable_icc'

export interface Bridge {
  gateway: string
  /** whether the gateway is an address of this machine: not so where the engine runs in a virtual machine */
  gatewayIsLocal: boolean
}

/** Makes the network unless it is there. A network of the name that lets nodes reach each other is refused. */
export async function ensureNetwork(
  docker: Docker,
  name: string,
  labels: Record<string, string>,
): Promise<Bridge> {
  const network =
    (await unlessMissing(docker.getNetwork(name).inspect())) ?? (await createNetwork(docker, name, labels))
  const gateway = network.IPAM?.Config?.[0]?.Gateway
  if (network.Driver !== 'bridge' || network.Options?.[isolation] !== 'false' || !gateway)
    throw new RuntimeError(
      'network_unsafe',
      `the network ${name} is not a bridge with ${isolation}=false: remove it, and it is made anew`,
    )
  return { gateway, gatewayIsLocal: await isLocalAddress(gateway) }
}

/** Removes the network; a missing one is success. */
export async function removeNetwork(docker: Docker, name: string): Promise<void> {
  await unlessMissing(docker.getNetwork(name).remove())
}

async function createNetwork(docker: Docker, name: string, labels: Record<string, string>) {
  try {
    // Without CheckDuplicate, two creations at once make two networks of one name.
    const options = { Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: labels }
    await docker.createNetwork({ ...options, Options: { [isolation]: 'false' } })
  } catch (error) {
    if (statusOf(error) !== 409) throw error
  }
  return docker.getNetwork(name).inspect()
}

/** By binding it: the list of interfaces leaves out a bridge that no container is on. */
async function isLocalAddress(address: string): Promise<boolean> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen({ host: address, port: 0, exclusive: true }, resolve)
    })
    return true
  } catch (error) {
    if (codeOf(error) === 'EADDRNOTAVAIL') return false
    throw error
  } finally {
    server.close()
  }
}
