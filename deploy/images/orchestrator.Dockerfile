# The orchestrator: its bundle, the migrations it applies at its start, and what it needs to make the image of session
# nodes through the engine. `npm run build` comes first.
ARG NODE_IMAGE=node:24-slim
FROM ${NODE_IMAGE}
ENV NODE_ENV=production PALOMAR_DATA_DIR=/data
WORKDIR /app
COPY package.json ./
COPY deploy/images/ ./deploy/images/
COPY prisma/migrations/ ./prisma/migrations/
COPY session-node/dist/production/ ./session-node/dist/production/
COPY orchestrator/dist/ ./orchestrator/dist/
USER 10001:10001
VOLUME /data
EXPOSE 8080 8081
ENTRYPOINT []
# Without --enable-source-maps: to parse the map at the first stack trace takes 95 MB and stalls it for 0.3 s. Names and
# lines of the bundle are readable as they are; NODE_OPTIONS=--enable-source-maps shows those of the sources.
CMD ["node", "/app/orchestrator/dist/main.mjs"]
