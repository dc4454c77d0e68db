-- The purge deletes changes. If a publication covers all tables, PostgreSQL refuses to delete from a table without a replica identity, and
-- the outbox has no key. The whole row as identity costs a watched write nothing, whereas a unique index would be checked for each; only
-- with `wal_level = logical` does the purge write the deleted rows to the log.
-- Takes ACCESS EXCLUSIVE on Instant's own table for a moment. It waits for that 20 ms at a time, because triggers queue behind it and give
-- a change up after 50 ms.

do $body$
declare
    before text := current_setting('lock_timeout');
begin
    perform set_config('lock_timeout', '20ms', true);
    for attempt in 1..400 loop
        begin
            alter table instant.outbox replica identity full;
            perform set_config('lock_timeout', before, true);
            return;
        exception when lock_not_available then
            perform pg_sleep(0.05 + random() / 10);
        end;
    end loop;
    raise exception 'instant.outbox was in use all the time: try again at a quieter time, or look for a long transaction or a dump'
        using errcode = 'lock_not_available';
end
$body$;
