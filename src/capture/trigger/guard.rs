//! The guarded insert into the outbox: a write goes on whatever becomes of it, and what is given up is counted.

use crate::capture::DOZE_LOCK;
use crate::capture::identifier::literal;
use crate::capture::watch::Watch;

/// How long the first insert of a transaction may wait for the outbox's lock, which nobody but an `alter table` takes, and how long a loss
/// may wait to be counted. The function has a setting of its own, without a limit, which takes this one back when it ends.
const LOCK_TIMEOUT: &str = "50ms";

/// The guarded insert. Only the first of a transaction has a block of its own, since a block that writes burns a transaction
/// id; afterwards the transaction holds the outbox's lock. What a row may still wait for (a page, the table of its large values) it waits
/// for without a limit, as in any table: where nothing catches the error, a limit would fail the write. What is known of the transaction stands in a setting that ends with
/// it, or with the savepoint it was made in; it names the transaction, so that a value of another origin means nothing. PL/pgSQL
/// prepares each expression anew in each transaction, which costs a commit of one row more than evaluating it: hence as few as may be.
pub(super) fn insert(watch: &Watch) -> String {
    let source = literal(&watch.source);
    let row = |indent: &str| {
        format!(
            "{indent}insert into instant.outbox (source, op, old, new)\n{indent}values ({source}, tg_op::\"char\", old_json, new_json)"
        )
    };
    format!(
        r#"    if current_setting('instant.tx', true) = '1:' || pg_current_xact_id() then
{later};
    elsif current_setting('instant.tx', true) = '0:' || pg_current_xact_id() then
{lost}    else
        begin
            state := set_config('lock_timeout', '{LOCK_TIMEOUT}', true);
            -- A relay that sleeps holds this lock; one that is awake cannot fall asleep before this transaction ends.
            if pg_try_advisory_xact_lock_shared({DOZE_LOCK}) then
{first};
            else
{first}
                returning id, at into change_id, change_at;
                -- Where transactions can be prepared, which a notification forbids, the relay polls. A full queue would fail the
                -- commit.
                if current_setting('max_prepared_transactions') = '0' and pg_notification_queue_usage() < 0.5 then
                    perform instant.announce(change_id, change_at, {source}, tg_op::"char", old_json, new_json);
                    perform pg_notify('instant', '');
                end if;
            end if;
            state := set_config('instant.tx', '1:' || pg_current_xact_id(), true);
        exception when others then
            -- The write wins, the loss is counted.
{nested}            begin
                perform set_config('instant.tx', '0:' || pg_current_xact_id(), true);
            exception when others then
                null;
            end;
            raise warning 'instant: changes of % are lost in this transaction: %', {source}, sqlerrm;
        end;
    end if;
    return null;
end
"#,
        later = row("        "),
        first = row("                "),
        lost = count_lost("        "),
        nested = count_lost("            "),
    )
}

/// Counts a change that is given up, which must neither raise nor wait: where the sequence is locked, the count is given up too, for the
/// rest of the transaction, which then waits once. What an expired wait has set ends with the block; an end without one takes it back.
pub(super) fn count_lost(indent: &str) -> String {
    let text = format!(
        "begin
    if current_setting('instant.uncounted', true) is distinct from pg_current_xact_id()::text then
        perform set_config('lock_timeout', '{LOCK_TIMEOUT}', true);
        perform nextval('instant.lost');
        perform set_config('lock_timeout', '0', true);
    end if;
exception when others then
    begin
        perform set_config('instant.uncounted', pg_current_xact_id()::text, true);
    exception when others then
        null;
    end;
end;"
    );
    format!("{indent}{}\n", text.replace('\n', &format!("\n{indent}")))
}
