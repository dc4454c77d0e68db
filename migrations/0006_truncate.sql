-- Vacuum gives back the pages at the end of a table under ACCESS EXCLUSIVE, for which a watched write would wait or be given up. The
-- outbox uses its pages again.
-- Takes SHARE UPDATE EXCLUSIVE on Instant's own table for a moment: triggers write on.

alter table instant.outbox set (vacuum_truncate = false, toast.vacuum_truncate = false);
