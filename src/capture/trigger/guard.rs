//! The guarded insert into the outbox: the write continues whatever happens to it, and abandoned changes are counted.

use crate::capture::DOZE_LOCK;
use crate::capture::identifier::literal;
use crate::capture::watch::Watch;

/// The limit on the wait of a transaction's first insert for the outbox's lock, which only an `alter table` takes, and of a loss for being
/// counted. The function has a setting of its own, without a limit, which undoes this one when the function ends.
pub(crate) const LOCK_TIMEOUT: &str = "50ms";

/// Returns the guarded insert. Only the first one of a transaction has a block of its own, since a block that writes burns a transaction
/// ID; afterwards the transaction holds the outbox's lock. For anything else (a page, the table of its large values) a row waits without a
/// limit, as in any table: where nothing catches the error, a limit would fail the write. The state of the transaction is kept in a
/// setting that ends with it, or with the savepoint it was made in; it contains the transaction's ID, so that a value of another origin
/// means nothing. PL/pgSQL prepares each expression again in each transaction, which costs a one-row commit more than evaluating it:
/// hence as few expressions as possible.
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

/// Returns the statements that count an abandoned change, which must neither raise nor wait: if the sequence is locked, counting
/// is abandoned too, for the rest of the transaction, which thus waits once. An expired wait undoes the setting with the block; without
/// one, the setting is reset.
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
