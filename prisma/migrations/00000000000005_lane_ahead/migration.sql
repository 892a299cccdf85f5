-- AlterTable
ALTER TABLE "lane" ADD COLUMN     "ahead" BIGINT;

-- A worker may hold the job after the head as well, to do it while the head's end is still being written.

drop function lane_advance(lane, uuid, integer);
drop function lane_claim(text, integer, integer);
drop function lane_finish(text, uuid, bigint, text, text, double precision, integer, boolean, integer);

-- The caller has locked `l`. Hands out up to `want` jobs under `token`, the head first; or frees the lane and returns
-- the time of its next claim. With `begun` the head is at work already: the lane is not freed under it.
create function lane_advance(l lane, token uuid, lease_ms integer, want integer, begun boolean)
returns setof lane_claimed language plpgsql as $$
declare
  at timestamptz := clock_timestamp();
  lease_end timestamptz := at + lease_ms * interval '1 ms';
  due timestamptz;
  free_at timestamptz := greatest(l.paused_until, l.paced_until);
  j lane_job;
  k lane_job;
begin
  update lane_job set state = 'pending' where key = l.key and state = 'scheduled' and run_at <= at;
  -- By id alone: with the state in the condition the planner takes the index of what is pending, all of it.
  if l.head is not null then
    select * into j from lane_job where id = l.head;
    if j.state is distinct from 'pending' then
      j := null;
    end if;
    due := j.run_at;
  end if;
  if j.id is null then
    l.head := null;
    select * into j from lane_job where key = l.key and state = 'pending' order by priority desc, id limit 1;
    if found then
      due := at;
    else
      select min(run_at) into due from lane_job where key = l.key and state = 'scheduled';
    end if;
  end if;
  if due is not null then
    due := greatest(due, free_at);
  end if;
  if token is not null and j.id is not null and (begun or due <= at) then
    if want > 1 and l.pace_ms = 0 and (free_at is null or free_at <= at) then
      -- What was handed out before a crash may be done already: it keeps its place.
      if l.ahead <> j.id then
        select * into k from lane_job where id = l.ahead;
      end if;
      if k.state is distinct from 'pending' then
        k := null;
        select * into k from lane_job where key = l.key and state = 'pending' and id <> j.id
          order by priority desc, id limit 1;
      end if;
    end if;
    -- While more than half of the lease is left its end stays, and the update touches no index.
    if l.lease is distinct from token or l.next_at < at + (lease_end - at) / 2 then
      l.next_at := lease_end;
    end if;
    update lane set lease = token, head = j.id, ahead = k.id, next_at = l.next_at, paced_until = l.paced_until
      where key = l.key;
    return next row(l.key, token, j.id, j.kind, j.priority, j.payload, j.attempts, j.max_attempts, j.created_at,
      null)::lane_claimed;
    if k.id is not null then
      return next row(l.key, token, k.id, k.kind, k.priority, k.payload, k.attempts, k.max_attempts, k.created_at,
        null)::lane_claimed;
    end if;
    return;
  end if;
  update lane set lease = null, head = l.head, ahead = null, next_at = due, paced_until = l.paced_until
    where key = l.key;
  return next row(l.key, null, null, null, null, null, null, null, null,
    extract(epoch from due - at) * 1000)::lane_claimed;
end $$;

-- Takes up to `max_lanes` lanes that are due, each with its head and, if `want` is 2, the job after it. A lane whose
-- lease has run out lost its worker: that counts as a try of its head, so that a job that kills its workers ends.
create function lane_claim(queue text, max_lanes integer, lease_ms integer, want integer)
returns setof lane_claimed language plpgsql as $$
declare
  at timestamptz := clock_timestamp();
  l lane;
begin
  -- A claim that a crash of Postgres forgets is a lane that is free again, and its holder is fenced.
  perform set_config('synchronous_commit', 'off', true);
  for l in
    select * from lane where split_part(key, ':', 1) = queue and next_at <= at
    order by next_at limit max_lanes for update skip locked
  loop
    if l.lease is not null then
      update lane_job set attempts = attempts + 1, last_error = 'The worker that ran it was lost.'
        where id = l.head and state = 'pending';
      l.lease := null;
    end if;
    return query select * from lane_advance(l, gen_random_uuid(), lease_ms, want, false) a where a.id is not null;
  end loop;
end $$;

-- Ends a try of the head ('done', 'retry', 'wait', 'dead') and hands out what is next under the same lease, up to
-- `want` jobs; none frees the lane. `begun`: the job ahead, which is at work already and becomes the head.
create function lane_finish(
  lane_key text, token uuid, job_id bigint, outcome text, error text, retry_ms double precision,
  own_pace_ms integer, begun bigint, want integer, lease_ms integer
) returns setof lane_claimed language plpgsql as $$
declare
  l lane := lane_hold(lane_key, token, job_id);
  at timestamptz := clock_timestamp();
  pace integer := coalesce(own_pace_ms, l.pace_ms);
begin
  if outcome in ('retry', 'wait') then
    update lane_job
      set attempts = attempts + case outcome when 'retry' then 1 else 0 end, last_error = error,
        run_at = at + retry_ms * interval '1 ms'
      where id = job_id;
    -- It goes first again, whatever was begun behind it.
    begun := null;
    want := 0;
  else
    update lane_job
      set state = outcome, attempts = attempts + 1, last_error = coalesce(error, last_error), finished_at = at
      where id = job_id;
    l.head := begun;
    l.ahead := null;
    if outcome = 'done' and pace > 0 then
      l.paced_until := at + pace * interval '1 ms';
    end if;
  end if;
  return query select * from lane_advance(
    l, case when want > 0 or begun is not null then token end, lease_ms, want, begun is not null);
end $$;

-- The same as a transaction of its own, which nobody waits for: when a crash of Postgres forgets it, the job is tried
-- again, as after any crash between the job and its end.
create function lane_finish_alone(
  lane_key text, token uuid, job_id bigint, outcome text, error text, retry_ms double precision,
  own_pace_ms integer, begun bigint, want integer, lease_ms integer
) returns setof lane_claimed language plpgsql as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  return query select * from lane_finish(
    lane_key, token, job_id, outcome, error, retry_ms, own_pace_ms, begun, want, lease_ms);
end $$;

-- Gives a lane back whose head was claimed but not begun.
create or replace function lane_release(lane_key text, token uuid, job_id bigint) returns void language plpgsql as $$
declare
  l lane := lane_hold(lane_key, token, job_id);
begin
  if exists (select from lane_job where id = job_id and attempts = 0) then
    l.head := null;
  end if;
  l.ahead := null;
  perform lane_advance(l, null, 0, 0, false);
end $$;

-- Whether the job will not run (again). False while it is in hand, and when it has ended.
create or replace function lane_cancel(job_id bigint) returns boolean language plpgsql as $$
declare
  l lane := lane_of(job_id);
begin
  if l.lease is not null and (l.head = job_id or l.ahead = job_id) then
    return false;
  end if;
  update lane_job set state = 'cancelled', finished_at = clock_timestamp()
    where id = job_id and state in ('pending', 'scheduled');
  if not found then
    return false;
  end if;
  if l.lease is null then
    perform lane_advance(l, null, 0, 0, false);
  end if;
  return true;
end $$;

-- Gives a dead job all its tries again, at its old place: before what was enqueued later.
create or replace function lane_redrive(job_id bigint) returns boolean language plpgsql as $$
declare
  l lane := lane_of(job_id);
begin
  update lane_job set state = 'pending', attempts = 0, run_at = clock_timestamp(), finished_at = null
    where id = job_id and state = 'dead';
  if not found then
    return false;
  end if;
  if l.lease is null then
    perform lane_advance(l, null, 0, 0, false);
  end if;
  return true;
end $$;

-- Starts nothing in the lane before `until`; null lifts that.
create or replace function lane_pause(lane_key text, until timestamptz, reason text) returns void language plpgsql as $$
declare
  l lane;
begin
  insert into lane as old (key, paused_until, paused_reason) values (lane_key, until, reason)
    on conflict (key) do update set paused_until = until, paused_reason = reason
    returning * into l;
  if l.lease is null then
    perform lane_advance(l, null, 0, 0, false);
  end if;
end $$;
