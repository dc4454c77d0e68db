-- A push by hand: a message that no row change makes, sent from any SQL. It is written in the caller's transaction, so that it is
-- published when that commits and never when it is rolled back, in order with the changes of that transaction.
-- Takes no lock on anything that is not Instant's own. Unlike a trigger it fails where it cannot write: the caller asked for it.

create function instant.broadcast(
    message     text,
    event_class text default 'default',
    target      text default null,
    data        json default null,
    channel     text default null,
    bucket      text default null,
    site        text default null
) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $body$
begin
    if message is null then
        raise exception 'instant.broadcast: message is null; it may be empty' using errcode = 'null_value_not_allowed';
    end if;
    if coalesce(event_class, '') = '' then
        raise exception 'instant.broadcast: event_class is empty; browsers dispatch on it'
            using errcode = 'invalid_parameter_value';
    end if;
    if target is not null and channel is not null then
        raise exception 'instant.broadcast: target and channel exclude each other; call it twice to reach both'
            using errcode = 'invalid_parameter_value';
    end if;
    -- A comma would let further users in, a second # would begin another part of the channel.
    if target is not null and target not in ('public', 'users', 'staff', 'superuser')
        and target !~ '^group:.' and target !~ '^#[^#,]+$'
    then
        raise exception 'instant.broadcast: % is no target; write public, users, staff, superuser, group:NAME or #ID',
            quote_literal(target) using errcode = 'invalid_parameter_value';
    end if;
    if channel = '' or length(channel) > 255 then
        raise exception 'instant.broadcast: a channel has 1 to 255 characters, this one has %', length(channel)
            using errcode = 'invalid_parameter_value';
    end if;
    if json_typeof(data) <> 'object' then
        raise exception 'instant.broadcast: data must be a JSON object, this is %', json_typeof(data)
            using errcode = 'invalid_parameter_value';
    end if;
    insert into instant.outbox (source, op, new)
    values (
        'instant.broadcast',
        'B',
        json_build_object(
            'message', message, 'event_class', event_class, 'target', target, 'channel', channel, 'data', data,
            'bucket', bucket, 'site', site
        )
    );
    -- As in the triggers: a relay that sleeps holds this lock; one that is awake cannot fall asleep before this transaction ends.
    -- Where transactions can be prepared, which a notification forbids, it polls. A full queue would fail the commit.
    if current_setting('max_prepared_transactions') = '0'
        and not pg_try_advisory_xact_lock_shared(7597136565108634625)
        and pg_notification_queue_usage() < 0.5
    then
        perform pg_notify('instant', '');
    end if;
end
$body$;

comment on function instant.broadcast is
    'Sends a message to a target (public, users, staff, superuser, group:NAME, #ID) or channel when this transaction commits.';

-- `apply` grants it to the owners of the watched tables; whoever may call it may speak to every browser.
revoke execute on function instant.broadcast from public;
