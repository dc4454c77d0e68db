use super::*;
use crate::config::diagnostic::code;

/// The rendered problems of a file, of which one has `code`.
fn shown(code: &str, text: &str) -> String {
    assert!(problems(text).contains(&code), "{code}: {:?}", problems(text));
    rendered(text)
}

macro_rules! snapshots {
    ($($name:ident: $code:ident, $text:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(shown(code::$code, &$text));
        })*
    };
}

snapshots! {
    syntax: SYNTAX, format!("{HEAD}[[watch]]\nmodel = \"shop.Order\nfields = [\"a\" \"b\"]\n");
    duplicate_key: DUPLICATE_KEY, format!("{HEAD}[[watch]]\nmodel = \"shop.Order\"\nmodel = \"shop.Order\"\n");
    unknown_key: UNKNOWN_KEY, format!("colour = 1\n{HEAD}ulr = 1\n[[watch]]\nmodel = \"shop.Order\"\nfeilds = []\n[[watch.rules]]\n");
    missing_key: MISSING_KEY, "[centrifugo]\nurl = \"http://a\"\n[[watch]]\nfields = []\n[[watch.rule]]\ntarget = {}\n";
    wrong_type: WRONG_TYPE, format!("site = 1\n{HEAD}[watch]\nmodel = \"shop.Order\"\n");
    wrong_type_in_rule: WRONG_TYPE, with_rule("[\"a\", 1]", "on = true\nchanged = [1.5]\ntarget = 3\ndata = \"a\"\nwhen = 1979-05-27\nrules = {}");
    bad_value: BAD_VALUE, format!("[database]\nurl = \"mysql://a\"\n[centrifugo]\nurl = \"127.0.0.1\"\napi_key = \" \"\ngrpc_url = \"http://a:10000/api\"\n[outbox]\nretention = \"10s\"\n");
    bad_names: BAD_VALUE, "[[watch]]\nmodel = \"Order\"\n[[watch]]\nmodel = \"project.shop.models.Order\"\n[[watch]]\ntable = \"a b\"\nfields = [\"\"]\n";
    bad_target: BAD_VALUE, with_rule("[]", "target = \"stuff\"\n[[watch.rule]]\ntarget = \"user\"\n[[watch.rule]]\ntarget = \"editors\"\n[[watch.rule]]\nchannel = \"\"\n[[watch.rule]]\ntarget = { user = \"\" }");
    bad_django: BAD_VALUE, format!("{HEAD}[django]\nsecret_key = \"\"\nsession_engine = \"django.contrib.sessions.backends.file\"\nsession_cookie_age = \"0s\"\nuser_model = \"User\"\nuser_table = \"a b\"\nwhoami = \"shop.example/whoami\"\n");
    bad_server: BAD_VALUE, format!("{HEAD}[server]\nlisten = \"8001\"\nallowed_origins = [\"*\", \"https://shop.example/\"]\nurl = \"shop\"\n");
    bad_channel: BAD_VALUE, format!("{HEAD}[channels.\"{{room_id}}\"]\nallow = \"users\"\n[channels.\"room:{{a}}{{b}}\"]\nallow = \"staf\"\n[channels.\"room:{{user_id}}\"]\nallow = \"delete from x\"\n[channels.\"room:#{{a}}\"]\nallow = \"users\"\nrecover = true\nhistory = {{ size = 0, ttl = \"x\" }}\n");
    bad_parameter: BAD_VALUE, format!("{HEAD}[channels.\"room:{{room_id}}\"]\nallow = \"select 1 from member where room = $rom_id and who = $user_id or $1\"\n");
    differing_options: BAD_VALUE, format!("{HEAD}[channels.\"room:{{room_id}}\"]\nallow = \"users\"\n[channels.\"room:{{room_id}}.staff\"]\nallow = \"staff\"\npresence = true\n");
    unknown_channel_key: UNKNOWN_KEY, format!("{HEAD}[channels]\nprefx = \"a\"\n[channels.\"room:all\"]\nalow = \"users\"\n");
    bad_operation: BAD_VALUE, with_rule("[]", "on = [\"updated\", \"edited\", \"upsert\"]");
    unset_variable: UNSET_VARIABLE, format!("{HEAD}[centrifugo]\nurl = \"${{CENTRIFUGO_URL}}\"\napi_key = \"${{CENTRIFUGO_API_KEY}}\"\n");
    literal_expansion: LITERAL_EXPANSION, format!("site = \"the ${{SITE}}\"\n{HEAD}[channels]\nprefix = \"$PREFIX\"\n");
    template_syntax: TEMPLATE_SYNTAX, with_rule("[\"a\"]", "message = \"é {{ row.a + }}\"\nwhen = \"row.a = 3\"\nevent_class = \"\\u007b{ row.a\"");
    template_syntax_in_lines: TEMPLATE_SYNTAX, with_rule("[\"a\"]", "message = '''\nfirst\n{% fi row.a %}\n'''");
    unknown_filter: UNKNOWN_FILTER, with_rule("[\"a\"]", "message = \"{{ row.a|uper }}\"\nwhen = \"row.a is odder\"");
    unknown_variable: UNKNOWN_VARIABLE, with_rule("[\"status\"]", "message = \"{{ rov.status }} {{ status }} {{ user }} {{ debug() }}\"");
    shadowed_name: SHADOWED_NAME, with_rule("[\"status\"]", "message = \"{% set row = row.status %}{{ row }}\"");
    unknown_column: UNKNOWN_COLUMN, with_rule("[\"status\", \"customer\"]", "when = \"row.stauts == old.status\"\nchanged = \"statu\"\ntarget = { user = \"custmer\" }\ndata = [\"statuses\"]");
    unknown_related_column: UNKNOWN_COLUMN, with_rule("[]\nrelated = { customer = [\"name\"], \"customer.user\" = [\"username\"] }", "message = \"{{ row.customer.nam }} {{ row.custmer.name }} {{ row.customer.user.email }}\"\ndata = [\"customer.naem\"]\nchanged = \"customer.name\"\ntarget = { user = \"customer.user.id\" }");
    whole_relation: WHOLE_RELATION, with_rule("[]\nrelated = { customer = [\"name\"] }", "message = \"{{ row.customer }} {{ old.customer|length }}\"");
    bad_related: BAD_VALUE, with_rule("[]\nrelated = { \"customer.\" = [\"name\"], owner = [\"\"], region = { table = \"a b\", key = \"code\", fields = [\"a\", \"a\"] } }", "");
    incomplete_related: MISSING_KEY, with_rule("[]\nrelated = { region = { table = \"regions\" }, owner = { key = \"id\", fields = [\"name\"] }, shop.owner = [\"name\"], tag = \"name\" }", "");
    uncertain_column: UNCERTAIN_COLUMN, with_rule("[\"status\"]", "message = \"{{ row.code }} {{ row.id }}\"");
    exclusive_keys: EXCLUSIVE_KEYS, with_rule("[]", "target = \"staff\"\nchannel = \"x\"\n[[watch.rule]]\ntarget = { group = \"a\", user = \"id\" }");
    never_follows: NEVER_FIRES, with_rule("[\"a\"]", "follow = true\n[[watch.rule]]\non = \"insert\"\nwhen = \"row.a\"\nfollow = true\n[[watch.rule]]\nwhen = \"row.a != old.a\"\nfollow = true");
    never_fires: NEVER_FIRES, with_rule("[\"a\"]", "on = [\"insert\", \"delete\"]\nchanged = \"a\"\n[[watch.rule]]\non = []");
    bad_collapse: MISSING_KEY, with_rule("[\"a\"]", "collapse = { message = \"{{ conut }} of {{ row.a }} {{ model }}\" }\n[[watch.rule]]\ncollapse = { above = 0 }\n[[watch.rule]]\ncollapse = 20\n[[watch.rule]]\ncollapse = { over = 20, message = \"{% set count = 1 %}{{ count }}\" }");
    truncate_without_row: TRUNCATE_WITHOUT_ROW, with_rule("[\"a\"]", "on = \"truncate\"\ntarget = { user = \"a\" }\n[[watch.rule]]\non = \"truncate\"\nchannel = \"order:{{ pk }}\"\n[[watch.rule]]\non = \"truncate\"\ntarget = { group = \"{{ row.a }}\" }");
    never_true: NEVER_FIRES, with_rule("[\"a\"]", "when = \"false\"\n[[watch.rule]]\non = [\"insert\", \"delete\"]\nwhen = \"op == 'update'\"\n[[watch.rule]]\nwhen = \"verb == 'created' and 1\"");
    never_old: NEVER_FIRES, with_rule("[\"a\"]", "on = \"insert\"\nwhen = \"row.a != old.a\"\nmessage = \"{{ old.a }}\"\n[[watch.rule]]\non = \"delete\"\nmessage = \"{{ old.a }}\"");
    truncate_reads_a_row: TRUNCATE_WITHOUT_ROW, with_rule("[\"a\"]", "on = \"truncate\"\nwhen = \"row.a\"\nmessage = \"{{ old.a }}\"\nevent_class = \"{{ model }}\"");
    missing_row: MISSING_ROW, with_rule("[\"a\"]", "when = \"row.a != old.a\"\nmessage = \"{{ old.a }}\"\n[[watch.rule]]\non = [\"delete\", \"truncate\"]\nmessage = \"{{ row.a }}\"\nevent_class = \"{{ model }}\"\n[[watch.rule]]\nchannel = \"room:{{ old.a }}\"");
    bad_channel_name: BAD_CHANNEL, with_rule("[\"a\"]", &format!("channel = \"Räume:{{{{ row.a }}}}\"\n[[watch.rule]]\nchannel = \"r:{{{{ row.a }}}}\"\n[[watch.rule]]\nchannel = \"{}{{{{ row.a }}}}{}\"\n[[watch.rule]]\nchannel = \"$my rooms:1\"\n[[watch.rule]]\ntarget = {{ group = \"{}\" }}", "x".repeat(128), "y".repeat(128), "Größe ".repeat(30)));
    bad_prefix: BAD_CHANNEL, format!("{HEAD}[channels]\nprefix = \"shop a:\"\n");
    unheard_channel: UNHEARD_CHANNEL, format!("[database]\nurl = \"postgres://localhost/shop\"\n[server]\nlisten = \"127.0.0.1:8001\"\nallowed_origins = [\"http://localhost:8000\"]\n[channels]\nprefix = \"shop:\"\n[channels.\"room:{{id}}.{{part}}\"]\nallow = \"users\"\n[channels.\"news:all\"]\nallow = \"users\"\n[[watch]]\nmodel = \"shop.Order\"\nfields = [\"a\"]\n{}",
        ["rooms:{{ row.a }}", "room:7", "news:{{ row.a }}x", "news:a{{ row.a }}", "news:some", "orders", "public", "shop:#42", "shop:{{ row.a }}", "shop:users2", "{{ row.a }}:7", "room:7.b", "shop:group.editors", "shop:sta", "{% if row.a %}x{% endif %}"].map(|channel| format!("[[watch.rule]]\nchannel = \"{channel}\"\n")).concat());
    duplicate_rule: DUPLICATE_RULE, with_rule("[\"a\", \"b\"]", "changed = [\"a\", \"b\"]\nwhen = \"row.a\"\n[[watch.rule]]\nchanged = [\"b\", \"a\"]\nwhen = \" row.a \"\non = \"update\"\ndata = []\n[[watch.rule]]\nwhen = \"row.a\"\n[[watch.rule]]\nchannel = \"room:{{ row.a }}\"\n[[watch.rule]]\nchannel = \"room:{{ row.a }}\"\nevent_class = \"other\"");
    duplicate_watch: DUPLICATE_WATCH, format!("{HEAD}[[watch]]\nmodel = \"shop.Order\"\n[[watch]]\nmodel = \"shop.order\"\n[[watch]]\ntable = \"a.b\"\n[[watch]]\ntable = '\"a\".b'\n");
    duplicate_name: DUPLICATE_NAME, with_rule("[\"a\", \"b\", \"a\"]", "on = [\"update\", \"update\"]\ndata = [\"a\", \"a\"]");
    nothing_watched: NOTHING_WATCHED, HEAD;
}

#[test]
fn warnings_leave_the_configuration_usable() {
    for text in [
        with_rule("[\"status\"]", "message = \"{{ row.code }}\""),
        with_rule("[\"a\", \"a\"]", ""),
        HEAD.to_owned(),
    ] {
        let (config, diagnostics) = parse(&text);
        assert!(config.is_some() && diagnostics.items.len() == 1, "{text}");
    }
}

#[test]
fn a_text_that_checks_what_exists_may_read_a_row_that_does_not_always_exist() {
    for rule in [
        "when = \"op == 'update' and row.a != old.a\"\nmessage = \"{{ old.a }}\"",
        "when = \"old and row.a != old.a\"",
        "when = \"old.a is defined\"\nmessage = \"{{ old.a }}\"",
        "when = \"old.a is not undefined and old.a\"",
        "message = \"It's {{ old.a|default('new') }}\"",
        "on = [\"update\", \"truncate\"]\nmessage = \"{% if verb == 'edited' %}{{ old.a }}{% endif %}\"",
        "on = [\"update\", \"delete\"]\nwhen = \"old.a\"",
        "on = \"update\"\nmessage = \"{{ old.a }}\"",
        "message = \"old.a {{ row.a }}\"",
    ] {
        assert_eq!(rendered(&with_rule("[\"a\"]", rule)), "", "{rule}");
    }
}

/// The reference of the file.
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

#[test]
fn the_first_example_of_the_reference_has_no_problem() {
    let first = REFERENCE
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    assert_eq!(rendered(first), "");
}
