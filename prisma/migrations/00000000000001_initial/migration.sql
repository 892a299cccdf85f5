-- CreateTable
CREATE TABLE "tenant" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tenant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_key" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "scopes" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_key" (
    "tenant_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "request_hash" BYTEA NOT NULL,
    "response_status" INTEGER,
    "response_body" JSONB,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("tenant_id","key")
);

-- CreateTable
CREATE TABLE "account" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "channel" TEXT NOT NULL DEFAULT 'baileys',
    "phone" TEXT,
    "lid" TEXT,
    "push_name" TEXT,
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "account_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "session" (
    "id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "desired" TEXT NOT NULL DEFAULT 'running',
    "state" TEXT NOT NULL DEFAULT 'created',
    "state_code" INTEGER,
    "state_reason" TEXT,
    "state_since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "generation" INTEGER NOT NULL DEFAULT 0,
    "last_seq" INTEGER NOT NULL DEFAULT 0,
    "creds" BYTEA,
    "me" JSONB,
    "qr_text" TEXT,
    "qr_expires_at" TIMESTAMPTZ(3),
    "connected_at" TIMESTAMPTZ(3),
    "failures" INTEGER NOT NULL DEFAULT 0,
    "not_before" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "session_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "node" (
    "id" UUID NOT NULL,
    "session_id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "driver" TEXT NOT NULL,
    "handle" JSONB,
    "address" TEXT,
    "port" INTEGER,
    "status" TEXT NOT NULL DEFAULT 'starting',
    "health" TEXT NOT NULL DEFAULT 'unknown',
    "generation" INTEGER,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "attached_at" TIMESTAMPTZ(3),
    "last_seen_at" TIMESTAMPTZ(3),
    "exited_at" TIMESTAMPTZ(3),
    "exit_code" INTEGER,
    "exit_reason" TEXT,
    "last_logs" JSONB,

    CONSTRAINT "node_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "signal_key" (
    "session_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "value" BYTEA NOT NULL,

    CONSTRAINT "signal_key_pkey" PRIMARY KEY ("session_id","type","id")
);

-- CreateTable
CREATE TABLE "inbox_entry" (
    "session_id" UUID NOT NULL,
    "hash" BYTEA NOT NULL,
    "plaintext" BYTEA NOT NULL,
    "stanza" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "settled_at" TIMESTAMPTZ(3),

    CONSTRAINT "inbox_entry_pkey" PRIMARY KEY ("session_id","hash")
);

-- CreateTable
CREATE TABLE "credential_archive" (
    "id" UUID NOT NULL,
    "session_id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "creds" BYTEA,
    "keys" BYTEA,
    "archived_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "credential_archive_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "identity" (
    "account_id" UUID NOT NULL,
    "lid" TEXT NOT NULL,
    "pn" TEXT NOT NULL,

    CONSTRAINT "identity_pkey" PRIMARY KEY ("account_id","lid")
);

-- CreateTable
CREATE TABLE "conversation" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "jid" TEXT NOT NULL,
    "pn" TEXT,
    "lid" TEXT,
    "name" TEXT,
    "resolved_at" TIMESTAMPTZ(3),
    "last_message_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "conversation_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "message" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "conversation_id" UUID NOT NULL,
    "wa_id" TEXT NOT NULL,
    "direction" TEXT NOT NULL,
    "origin" TEXT NOT NULL,
    "author" TEXT NOT NULL,
    "sender_pn" TEXT,
    "sender_lid" TEXT,
    "push_name" TEXT,
    "type" TEXT NOT NULL,
    "content" JSONB NOT NULL,
    "context" JSONB,
    "metadata" JSONB,
    "status" TEXT NOT NULL,
    "error" JSONB,
    "raw" BYTEA,
    "correlation_id" UUID,
    "job_id" BIGINT,
    "timestamp" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "sent_at" TIMESTAMPTZ(3),
    "delivered_at" TIMESTAMPTZ(3),
    "read_at" TIMESTAMPTZ(3),
    "played_at" TIMESTAMPTZ(3),
    "failed_at" TIMESTAMPTZ(3),

    CONSTRAINT "message_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "event" (
    "id" BIGSERIAL NOT NULL,
    "tenant_id" UUID NOT NULL,
    "account_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "data" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "event_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "lane" (
    "key" TEXT NOT NULL,
    "tenant_id" UUID,
    "next_at" TIMESTAMPTZ(6),
    "lease" UUID,
    "head" BIGINT,
    "paused_until" TIMESTAMPTZ(6),
    "paused_reason" TEXT,
    "pace_ms" INTEGER NOT NULL DEFAULT 0,
    "paced_until" TIMESTAMPTZ(6),

    CONSTRAINT "lane_pkey" PRIMARY KEY ("key")
);

-- CreateTable
CREATE TABLE "lane_job" (
    "id" BIGSERIAL NOT NULL,
    "key" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "priority" INTEGER NOT NULL DEFAULT 0,
    "run_at" TIMESTAMPTZ(6) NOT NULL,
    "state" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "max_attempts" INTEGER NOT NULL,
    "payload" JSONB NOT NULL,
    "last_error" TEXT,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(6),

    CONSTRAINT "lane_job_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "api_key_hash_key" ON "api_key"("hash");

-- CreateIndex
CREATE INDEX "api_key_tenant_id_idx" ON "api_key"("tenant_id");

-- CreateIndex
CREATE INDEX "idempotency_key_created_at_idx" ON "idempotency_key"("created_at");

-- CreateIndex
CREATE INDEX "account_tenant_id_created_at_id_idx" ON "account"("tenant_id", "created_at", "id");

-- CreateIndex
CREATE UNIQUE INDEX "session_account_id_key" ON "session"("account_id");

-- CreateIndex
CREATE INDEX "session_tenant_id_idx" ON "session"("tenant_id");

-- CreateIndex
CREATE INDEX "node_session_id_started_at_idx" ON "node"("session_id", "started_at" DESC);

-- CreateIndex
CREATE INDEX "node_status_idx" ON "node"("status");

-- CreateIndex
CREATE INDEX "inbox_entry_session_id_created_at_idx" ON "inbox_entry"("session_id", "created_at");

-- CreateIndex
CREATE INDEX "credential_archive_session_id_idx" ON "credential_archive"("session_id");

-- CreateIndex
CREATE UNIQUE INDEX "identity_account_id_pn_key" ON "identity"("account_id", "pn");

-- CreateIndex
CREATE INDEX "conversation_tenant_id_last_message_at_id_idx" ON "conversation"("tenant_id", "last_message_at" DESC, "id");

-- CreateIndex
CREATE UNIQUE INDEX "conversation_account_id_pn_key" ON "conversation"("account_id", "pn");

-- CreateIndex
CREATE UNIQUE INDEX "conversation_account_id_lid_key" ON "conversation"("account_id", "lid");

-- CreateIndex
CREATE UNIQUE INDEX "conversation_account_id_jid_key" ON "conversation"("account_id", "jid");

-- CreateIndex
CREATE INDEX "message_conversation_id_timestamp_id_idx" ON "message"("conversation_id", "timestamp" DESC, "id" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "message_account_id_wa_id_conversation_id_author_key" ON "message"("account_id", "wa_id", "conversation_id", "author");

-- CreateIndex
CREATE INDEX "event_tenant_id_id_idx" ON "event"("tenant_id", "id");

-- AddForeignKey
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "account" ADD CONSTRAINT "account_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "session" ADD CONSTRAINT "session_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "account"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "node" ADD CONSTRAINT "node_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "session"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "signal_key" ADD CONSTRAINT "signal_key_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "session"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "inbox_entry" ADD CONSTRAINT "inbox_entry_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "session"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "conversation" ADD CONSTRAINT "conversation_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "account"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "message" ADD CONSTRAINT "message_account_id_fkey" FOREIGN KEY ("account_id") REFERENCES "account"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "message" ADD CONSTRAINT "message_conversation_id_fkey" FOREIGN KEY ("conversation_id") REFERENCES "conversation"("id") ON DELETE CASCADE ON UPDATE CASCADE;
