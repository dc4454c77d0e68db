-- What the leader remembers beside its cursor: since when it leads, and which count of `instant.lost` subscribers were told of.
-- Takes ACCESS EXCLUSIVE on Instant's own table for a moment; the triggers never touch it.

alter table instant.relay add column led_since timestamptz;
alter table instant.relay add column told_lost bigint not null default 0;
