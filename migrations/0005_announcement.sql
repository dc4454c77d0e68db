-- A commit that wakes the relay brings its first change along, which is then published without the read that finds it. Whoever may
-- connect may LISTEN to any channel it can name, and NOTIFY on it: the channel of announcements has a name that each relay makes up,
-- and that stands in this table alone. An announcement that nobody hears is no loss, since the relay reads all changes.
-- Takes no lock on anything that is not Instant's own.

create table instant.announcement (
    name    text primary key,
    channel text
);
insert into instant.announcement values ('main', null);

-- Announces a change that this transaction has captured. It raises nothing but a cancellation: the change is captured already. A notification of 8,000
-- bytes or more would, and one that finds the queue full fails the commit: the caller has seen that half of it is free, in which all
-- connections together have room, a page each. It does not read the outbox, which would make serializable writers depend on each
-- other. `trace_notify` would show the name to the writer. Takes ACCESS SHARE on Instant's own table.
create function instant.announce(id bigint, written_at timestamptz, source text, op "char", old json, new json) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set trace_notify = off
as $body$
begin
    perform pg_notify(
        announcement.channel,
        json_build_array(
            pg_current_xact_id()::text, id, (extract(epoch from written_at) * 1000000)::bigint, source, op, old, new
        )::text
    )
    from instant.announcement
    where announcement.name = 'main'
      and announcement.channel is not null
      and coalesce(octet_length(old::text), 0) + coalesce(octet_length(new::text), 0) < 7000
      and coalesce(current_setting('max_notify_queue_pages', true)::int >= 4 * current_setting('max_connections')::int, true);
exception when others then
    null;
end
$body$;

revoke execute on function instant.announce from public;
