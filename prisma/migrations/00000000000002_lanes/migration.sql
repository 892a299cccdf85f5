-- The lanes' functions, and the indexes that schema.prisma cannot say. The rules are told in
-- orchestrator/src/lanes/lane-job.ts.
--
-- Whoever changes a lane or its jobs first locks the lane's row, and then reads the jobs in a statement of its own.
-- Both matter: under READ COMMITTED a statement's snapshot is older than the locks it takes, so a single statement
-- that locks and reads would miss a job committed in between, and nobody would ever be woken for it.

-- Room for updates in place: a lane changes with each job.
alter table lane set (fillfactor = 50);
alter table lane_job set (fillfactor = 80);

create index lane_due on lane (split_part(key, ':', 1), next_at) where next_at is not null;
create index lane_job_pending on lane_job (key, priority desc, id) where state = 'pending';
create index lane_job_scheduled on lane_job (key, run_at) where state = 'scheduled';
create index lane_job_dead on lane_job (key, id) where state = 'dead';
create index lane_job_finished on lane_job using brin (finished_at) where finished_at is not null;

-- A job that its lane's worker may run now; or, with id null, what became of the lane instead.
create type lane_claimed as (
  key text, lease uuid, id bigint, kind text, priority integer, payload jsonb,
  attempts integer, max_attempts integer, created_at timestamptz,
  -- when the lane is due again, from now; null: when somebody enqueues
  due_in_ms double precision
);

-- Adds jobs in the order of the arrays and returns their ids in that order.
create function lane_enqueue(
  keys text[], tenants uuid[], kinds text[], priorities integer[], run_ats timestamptz[], max_tries integer[],
  payloads jsonb[]
) returns setof bigint language plpgsql as $$
declare
  at timestamptz := clock_timestamp();
begin
  -- In the order of keys, so that two that enqueue for the same lanes wait for each other instead of dead-locking.
  -- A held lane, and one whose head waits for its next try, keep their time: their holder looks again.
  insert into lane as l (key, tenant_id, next_at)
    select j.key, (array_agg(j.tenant))[1], min(greatest(j.run_at, at))
    from unnest(keys, tenants, run_ats) as j(key, tenant, run_at)
    group by j.key order by j.key
  on conflict (key) do update
    set next_at = greatest(excluded.next_at, l.paused_until, l.paced_until)
    where l.lease is null and l.head is null
      and (l.next_at is null or l.next_at > greatest(excluded.next_at, l.paused_until, l.paced_until));
  return query
    insert into lane_job (key, kind, priority, run_at, state, max_attempts, payload)
    select j.key, j.kind, j.priority, coalesce(j.run_at, at),
      case when j.run_at > at then 'scheduled' else 'pending' end, j.max_attempts, j.payload
    from unnest(keys, kinds, priorities, run_ats, max_tries, payloads) with ordinality
      as j(key, kind, priority, run_at, max_attempts, payload, position)
    order by j.position
    returning id;
end $$;

-- The caller has locked `l`. Takes the lane's head under `token`; or frees the lane, with the time of its next claim.
create function lane_advance(l lane, token uuid, lease_ms integer) returns lane_claimed language plpgsql as $$
declare
  at timestamptz := clock_timestamp();
  lease_end timestamptz := at + lease_ms * interval '1 ms';
  due timestamptz;
  j lane_job;
begin
  update lane_job set state = 'pending' where key = l.key and state = 'scheduled' and run_at <= at;
  if l.head is not null then
    select * into j from lane_job where id = l.head and state = 'pending';
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
    due := greatest(due, l.paused_until, l.paced_until);
  end if;
  if token is not null and j.id is not null and due <= at then
    -- While more than half of the lease is left its end stays, and the update touches no index.
    if l.lease is distinct from token or l.next_at < at + (lease_end - at) / 2 then
      l.next_at := lease_end;
    end if;
    update lane set lease = token, head = j.id, next_at = l.next_at, paced_until = l.paced_until where key = l.key;
    return row(l.key, token, j.id, j.kind, j.priority, j.payload, j.attempts, j.max_attempts, j.created_at,
      null)::lane_claimed;
  end if;
  update lane set lease = null, head = l.head, next_at = due, paced_until = l.paced_until where key = l.key;
  return row(l.key, null, null, null, null, null, null, null, null,
    extract(epoch from due - at) * 1000)::lane_claimed;
end $$;

-- Takes up to `max_lanes` lanes that are due, each with its head. A lane whose lease has run out lost its worker:
-- that counts as a try, so that a job that kills its workers ends some day.
create function lane_claim(queue text, max_lanes integer, lease_ms integer) returns setof lane_claimed
language plpgsql as $$
declare
  at timestamptz := clock_timestamp();
  l lane;
  claimed lane_claimed;
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
    claimed := lane_advance(l, gen_random_uuid(), lease_ms);
    if claimed.id is not null then
      return next claimed;
    end if;
  end loop;
end $$;

-- Locks the lane for the one who holds it with this token and runs this job; PL001 for anybody else.
create function lane_hold(lane_key text, token uuid, job_id bigint) returns lane language plpgsql as $$
declare
  l lane;
begin
  select * into l from lane where key = lane_key and lease = token and head = job_id for update;
  if not found then
    raise exception 'The lease of lane % is lost.', lane_key using errcode = 'PL001';
  end if;
  return l;
end $$;

-- Ends a try of the head ('done', 'retry', 'wait', 'dead'), and takes the next head under the same lease (if `take_next`).
create function lane_finish(
  lane_key text, token uuid, job_id bigint, outcome text, error text, retry_ms double precision,
  own_pace_ms integer, take_next boolean, lease_ms integer
) returns lane_claimed language plpgsql as $$
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
  else
    update lane_job
      set state = outcome, attempts = attempts + 1, last_error = coalesce(error, last_error), finished_at = at
      where id = job_id;
    l.head := null;
    if outcome = 'done' and pace > 0 then
      l.paced_until := at + pace * interval '1 ms';
    end if;
  end if;
  return lane_advance(l, case when take_next then token end, lease_ms);
end $$;

-- Gives a lane back whose head was claimed but not begun.
create function lane_release(lane_key text, token uuid, job_id bigint) returns void language plpgsql as $$
declare
  l lane := lane_hold(lane_key, token, job_id);
begin
  if exists (select from lane_job where id = job_id and attempts = 0) then
    l.head := null;
  end if;
  perform lane_advance(l, null, 0);
end $$;

-- Locks a job's lane; null when there is no such job.
create function lane_of(job_id bigint) returns lane language sql as $$
  select * from lane where key = (select key from lane_job where id = job_id) for update
$$;

-- Whether the job will not run (again). False while it runs, and when it has ended.
create function lane_cancel(job_id bigint) returns boolean language plpgsql as $$
declare
  l lane := lane_of(job_id);
begin
  if l.lease is not null and l.head = job_id then
    return false;
  end if;
  update lane_job set state = 'cancelled', finished_at = clock_timestamp()
    where id = job_id and state in ('pending', 'scheduled');
  if not found then
    return false;
  end if;
  if l.lease is null then
    perform lane_advance(l, null, 0);
  end if;
  return true;
end $$;

-- Gives a dead job all its tries again, at its old place: before what was enqueued later.
create function lane_redrive(job_id bigint) returns boolean language plpgsql as $$
declare
  l lane := lane_of(job_id);
begin
  update lane_job set state = 'pending', attempts = 0, run_at = clock_timestamp(), finished_at = null
    where id = job_id and state = 'dead';
  if not found then
    return false;
  end if;
  if l.lease is null then
    perform lane_advance(l, null, 0);
  end if;
  return true;
end $$;

-- Starts nothing in the lane before `until`; null lifts that.
create function lane_pause(lane_key text, until timestamptz, reason text) returns void language plpgsql as $$
declare
  l lane;
begin
  insert into lane as old (key, paused_until, paused_reason) values (lane_key, until, reason)
    on conflict (key) do update set paused_until = until, paused_reason = reason
    returning * into l;
  if l.lease is null then
    perform lane_advance(l, null, 0);
  end if;
end $$;
