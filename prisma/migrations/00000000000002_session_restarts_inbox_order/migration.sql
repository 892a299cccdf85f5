-- AlterTable
ALTER TABLE "idempotency_key" ADD COLUMN     "message_ids" UUID[] DEFAULT ARRAY[]::UUID[];

-- AlterTable
ALTER TABLE "inbox_entry" ADD COLUMN     "seq" BIGSERIAL NOT NULL;

-- AlterTable
ALTER TABLE "message" ADD COLUMN     "send_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "node" ADD COLUMN     "failed_probes" INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE "session" ADD COLUMN     "restarts" INTEGER NOT NULL DEFAULT 0;

-- CreateIndex
CREATE INDEX "inbox_entry_created_at_idx" ON "inbox_entry"("created_at");
