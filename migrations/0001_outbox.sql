-- The schema of Instant: the outbox that the triggers fill, the relay's cursor, the dead letters, the count of what was lost.
-- Takes no lock on anything that is not Instant's own.

create schema if not exists instant;

-- The changes, append-only. `xid` is the whole transaction's, also inside savepoints: windows are ranges of it.
-- Nothing but the one index that windows need: every further one would cost each watched write.
create table instant.outbox (
    xid    xid8        not null default pg_current_xact_id(),
    id     bigint      not null generated always as identity,
    at     timestamptz not null default clock_timestamp(),
    source text        not null,
    op     "char"      not null,
    old    json,
    new    json
);
create index outbox_window on instant.outbox (xid, id);

-- Rows are inserted once and deleted in chunks from one end. Vacuum by a fixed number of rows, not by a share of a table that a
-- backlog makes large; statistics are of no use, since the relay's plans are pinned.
alter table instant.outbox set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 50000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 200000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 500000
);

-- The cursor. Everything visible in `snapshot` is settled; where `until` is set, so is everything of the window between the two
-- up to the change `after`. `system_identifier` tells a cluster that the xids do not belong to.
create table instant.relay (
    name              text        primary key,
    snapshot          pg_snapshot not null,
    until             pg_snapshot,
    after             bigint,
    system_identifier bigint      not null,
    updated_at        timestamptz not null default clock_timestamp(),
    check ((until is null) = (after is null))
);

-- From here on every change counts, so that nothing between `apply` and the first `run` is lost.
insert into instant.relay (name, snapshot, system_identifier)
select 'main', pg_current_snapshot(), system_identifier from pg_control_system();

-- Publications that were parked. `event` is null where a rule failed before there was one; `old` and `new` are the change.
create table instant.dead_letter (
    id         bigint      generated always as identity primary key,
    key        text        not null unique,
    change_id  bigint      not null,
    change_at  timestamptz not null,
    source     text        not null,
    op         "char"      not null,
    model      text        not null,
    rule       integer     not null,
    channel    text,
    event      json,
    old        json,
    new        json,
    reason     text        not null,
    code       integer,
    attempts   integer     not null,
    parked_at  timestamptz not null default clock_timestamp()
);

-- Changes that the triggers gave up so that a write could go on.
create sequence instant.lost minvalue 0 start 0;
