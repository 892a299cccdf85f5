# A session node: one file on a Node image. It runs as nobody in particular, on a root file system that is read-only.
# The runtime driver builds it by itself (orchestrator/src/nodes/runtime/image.ts); by hand, from the repository's root:
#   docker build -f deploy/images/session-node.Dockerfile -t palomar/session-node:dev .
ARG NODE_IMAGE=node:24-slim
FROM ${NODE_IMAGE}
ARG BUNDLE=session-node/dist/production/node.mjs
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 MALLOC_ARENA_MAX=1 UV_THREADPOOL_SIZE=1
WORKDIR /app
COPY ${BUNDLE} /app/node.mjs
USER 10001:10001
EXPOSE 3000
ENTRYPOINT []
# The same flags as in orchestrator/src/nodes/runtime/node-flags.ts; a test holds them together.
CMD ["node", "--max-semi-space-size=1", "--optimize-for-size", "--max-old-space-size=160", "/app/node.mjs"]
