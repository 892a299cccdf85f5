-- AlterTable
ALTER TABLE "message" DROP COLUMN "job_id";
