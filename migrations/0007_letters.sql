-- Dead letters are sent again in the order of their changes, a page at a time. Takes no lock on anything that is not Instant's own.

create index dead_letter_change on instant.dead_letter (change_id, id);
