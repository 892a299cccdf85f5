-- Written by hand: schema.prisma cannot say this.
-- Partial, so that only the statement that it is made for can use it: on a small table the other index was taken for
-- statements that ask for one message, which then read all of the account's once there were many.
drop index "message_account_id_sent_at_idx";
create index message_sent_by_api on message (account_id, sent_at desc)
  where direction = 'outbound' and origin = 'api';
