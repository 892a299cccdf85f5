-- CreateIndex
CREATE INDEX "message_account_id_sent_at_idx" ON "message"("account_id", "sent_at" DESC);
