/**
 * Who may import whom (docs/architecture.md says why there are these rooms). Paths are regular expressions over
 * resolved files; a library is where it lies in node_modules.
 */

/** Tests, and what only tests import: contract suites and fixtures. */
const testGear = '(\\.test|-contract|-fixture)\\.ts$'

const library = (names) => `^node_modules/(${names})/`

/** One owner for each library: elsewhere its types and habits would spread through rooms that need neither. */
const owned = (name, libraries, owners, to = {}) => ({
  name: `${name}-has-one-owner`,
  comment: `Only its owner may import ${libraries}, so that it can be changed in one place.`,
  severity: 'error',
  from: { path: '^(orchestrator|session-node|simulator)/', pathNot: owners },
  to: { path: library(libraries), ...to },
})

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or miss a third. Types alone may point back.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'resolvable',
      comment: 'An import that resolves to nothing fails at run time only; and no rule here can judge it.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'declared',
      comment: 'A package that happens to lie in node_modules is gone after the next npm install.',
      severity: 'error',
      from: { path: '^(orchestrator|session-node|simulator)/(src|contract)/', pathNot: testGear },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'main-is-the-root',
      comment:
        'main builds the rooms and knows them all; a room that knew main would know all others through it.',
      severity: 'error',
      from: { path: '^orchestrator/src/' },
      to: { path: '^orchestrator/src/main\\.ts$' },
    },
    {
      name: 'rooms-know-no-transport',
      comment:
        'http and ws call the rooms. A room must work the same under a test, a job or another transport.',
      severity: 'error',
      from: {
        path: '^orchestrator/src/[^/]+/',
        pathNot: ['^orchestrator/src/(http|ws)/', testGear],
      },
      to: { path: '^orchestrator/src/(http|ws)/' },
    },
    {
      name: 'transports-stay-apart',
      comment: 'http and ws are two doors to the same rooms; main hangs both on one server.',
      severity: 'error',
      from: { path: '^orchestrator/src/(http|ws)/', pathNot: testGear },
      to: { path: '^orchestrator/src/(http|ws)/', pathNot: '^orchestrator/src/$1/' },
    },
    {
      name: 'db-and-lanes-know-no-room',
      comment: 'They carry every room, so they may know none of them.',
      severity: 'error',
      from: { path: '^orchestrator/src/(db|lanes)/', pathNot: testGear },
      to: { path: '^orchestrator/src/[^/]+/', pathNot: '^orchestrator/src/(db|lanes)/' },
    },
    {
      name: 'apps-meet-in-the-contract',
      comment:
        'The orchestrator and the node are deployed apart: all that crosses between them is the contract.',
      severity: 'error',
      from: { path: '^(orchestrator|session-node)/src/' },
      to: { path: '^(orchestrator|session-node)/src/', pathNot: '^$1/src/' },
    },
    {
      name: 'contract-is-zod-alone',
      comment: 'Both apps bundle the contract: whatever it imports, both carry.',
      severity: 'error',
      from: { path: '^session-node/contract/', pathNot: testGear },
      to: { pathNot: ['^session-node/contract/', library('zod')] },
    },
    {
      name: 'src-knows-no-test-gear',
      comment: 'What is shipped must not reach the simulator, tests, benchmarks or scripts.',
      severity: 'error',
      from: { path: '^(orchestrator|session-node)/(src|contract)/', pathNot: testGear },
      to: { path: ['^(simulator|harness|bench|chaos|scripts|test)/', '^[^/]+/test/', testGear] },
    },
    {
      name: 'simulator-stands-alone',
      comment: 'It plays the other end of the wire: shared code would share our mistakes.',
      severity: 'error',
      from: { path: '^simulator/src/', pathNot: testGear },
      to: { path: '^(orchestrator|session-node|harness|bench|chaos|scripts|test)/' },
    },

    owned('docker', 'dockerode|@types/dockerode', '^orchestrator/(src/nodes/runtime|test)/'),
    owned('prisma', '@prisma/[^/]+', '^orchestrator/src/db/'),
    owned(
      'pg',
      'pg|@types/pg',
      ['^orchestrator/(src/db|test)/', testGear],
      // A transaction that crosses rooms is passed as `tx`, and its type has pg's name.
      { dependencyTypesNot: ['type-only'] },
    ),
    owned('redis', 'ioredis', ['^orchestrator/src/.+/redis-[a-z-]+\\.ts$', '^orchestrator/test/']),
    owned('websocket', 'ws|@types/ws', [
      '^orchestrator/src/ws/',
      '^simulator/',
      '^(orchestrator|session-node)/test/',
      testGear,
    ]),
    owned('baileys', '@whiskeysockets/baileys|libsignal', [
      '^session-node/(src/whatsapp|build|test)',
      '^simulator/',
      testGear,
    ]),
    {
      name: 'prisma-client-in-stores',
      comment: 'The generated client is for db/ and for the stores; other code asks a store.',
      severity: 'error',
      from: {
        path: '^orchestrator/src/',
        pathNot: ['^orchestrator/src/db/', '-store\\.ts$', testGear],
      },
      to: { path: '^orchestrator/src/db/generated/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^orchestrator/src/db/generated/'] },
    exclude: { path: '^[^/]+/dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    combinedDependencies: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
