use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::change::{Operation, Operations};
use crate::config::channel::{Allow, History};
use crate::config::{Destination, Reference, Rule, SessionEngine, Side, Subject, TableName};

fn full() -> Config {
    let (config, diagnostics) = parse(FULL);
    assert_eq!(diagnostics.render(&source(FULL), false), "");
    config.unwrap()
}

fn values(names: &[crate::config::Spanned<String>]) -> Vec<&str> {
    names.iter().map(|name| name.value.as_str()).collect()
}

fn row(column: &str) -> Reference {
    Reference::Row(column.to_owned())
}

fn at(rule: &Rule) -> &'static str {
    &FULL[rule.span.clone()]
}

#[test]
fn the_tables_at_the_top_are_read() {
    let config = full();
    assert_eq!(config.site.as_deref(), Some("Shop"));
    assert_eq!(config.database.url.expose_secret(), "postgres://shop:s3cret@localhost/shop");
    assert_eq!(config.database.relay_role.unwrap().value, "instant_relay");
    let centrifugo = config.centrifugo.unwrap();
    assert_eq!(centrifugo.url, "http://127.0.0.1:8000");
    assert_eq!(centrifugo.api_key.expose_secret(), "development");
    assert_eq!(centrifugo.token_secret.unwrap().expose_secret(), "another");
    assert_eq!(centrifugo.grpc_url.unwrap(), "http://127.0.0.1:10000");
    assert_eq!(config.retention, Duration::from_hours(7 * 24));
    assert_eq!(config.prefix, "shop:");
    assert!(!config.anonymous);
}

#[test]
fn the_django_and_server_tables_are_read() {
    let config = full();
    let django = config.django.unwrap();
    assert_eq!(django.secret_key.as_ref().unwrap().expose_secret(), "a key");
    let fallbacks: Vec<_> = django.secret_key_fallbacks.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(fallbacks, ["an older key"]);
    assert_eq!(django.session_cookie, "shop_session");
    assert_eq!(django.session_engine, SessionEngine::Database);
    assert_eq!(django.session_cookie_age, Duration::from_hours(7 * 24));
    assert_eq!(
        (django.user_model.app.as_str(), django.user_model.name.as_str()),
        ("accounts", "Member")
    );
    assert_eq!(django.user_model.table.unwrap().name, "members");
    let server = config.server.unwrap();
    assert_eq!(server.listen, "0.0.0.0:8101");
    assert_eq!(server.url, "http://127.0.0.1:8101");
    assert_eq!(server.allowed_origins, ["https://shop.example", "http://localhost:3000"]);
    assert_eq!(server.ready_lag, Duration::from_secs(30));
}

#[test]
fn channel_rules_are_read_in_the_order_of_the_file() {
    let channels = full().channels;
    let names: Vec<_> = channels.iter().map(|channel| channel.pattern.text()).collect();
    assert_eq!(names, ["room:{room_id}", "news:all"]);
    let Allow::Query(query) = &channels[0].allow else {
        panic!("{:?}", channels[0].allow)
    };
    assert_eq!(query.parameters(), ["room_id", "user_id"]);
    let ttl = Duration::from_hours(1);
    assert_eq!(channels[0].history, Some(History { size: 100, ttl }));
    assert!(channels[0].presence && channels[0].recover);
    assert_eq!(channels[1].allow, Allow::Everyone);
    assert!(!channels[1].presence && !channels[1].recover);
}

#[test]
fn watches_name_models_and_tables() {
    let subjects: Vec<_> = full().watches.into_iter().map(|watch| watch.subject.value).collect();
    let model = |model: &str, table| Subject::Model {
        app: "shop".to_owned(),
        model: model.to_owned(),
        table,
    };
    let table = |schema: &str, name: &str| TableName {
        schema: Some(schema.to_owned()),
        name: name.to_owned(),
    };
    assert_eq!(
        subjects,
        [
            model("Order", None),
            model("Product_tags", None),
            model("Invoice", Some(table("billing", "Invoices 2026"))),
            Subject::Table(table("legacy", "orders")),
        ]
    );
}

#[test]
fn rules_are_read_with_what_they_refer_to() {
    let config = full();
    let rules = &config.watches[0].rules;
    assert_eq!(values(&config.watches[0].fields), ["number", "status", "total", "customer"]);
    assert_eq!(rules.len(), 4);
    assert!(rules.iter().all(|rule| at(rule) == "[[watch.rule]]"));

    assert_eq!(rules[0].on, Operations::ROWS);
    assert!(matches!(rules[0].destination, Destination::Staff));
    assert!(rules[0].data.is_none() && rules[0].when.is_none() && rules[0].message.is_none());

    assert_eq!(rules[1].on, Operations::NONE.with(Operation::Update));
    assert_eq!(values(&rules[1].changed), ["status"]);
    assert_eq!(
        values(rules[1].data.as_deref().unwrap()),
        ["number", "status", "customer.name", "customer.user.username"]
    );
    assert_eq!(
        rules[1].when.as_ref().unwrap().references,
        [row("status"), Reference::Old("status".to_owned())]
    );
    assert_eq!(rules[1].event_class.as_ref().unwrap().references, []);
    let name = Reference::Related(Side::Row, "customer.name".to_owned());
    assert_eq!(
        rules[1].message.as_ref().unwrap().references,
        [row("number"), row("status"), name]
    );
    assert!(matches!(&rules[1].destination, Destination::User(field) if field.value == "customer"));

    assert!(rules[2].follow && !rules[1].follow);
    assert!(matches!(&rules[2].destination, Destination::Group(group) if group.references == [row("customer_id")]));
    assert!(
        matches!(&rules[3].destination, Destination::Channel(name) if name.references == [Reference::Variable("op".to_owned())])
    );
    assert_eq!(rules[3].on, Operations::ROWS.with(Operation::Truncate));
    assert_eq!(rules[3].data.as_deref(), Some(&[][..]));
    let collapse = rules[3].collapse.as_ref().unwrap();
    let variables = ["count", "verb"].map(|name| Reference::Variable(name.to_owned()));
    assert_eq!(
        (collapse.above, &*collapse.message.as_ref().unwrap().references),
        (20, &variables[..])
    );
    assert!(rules[2].collapse.is_none());

    let rules = &config.watches[2].rules;
    assert_eq!(rules[0].message.as_ref().unwrap().references, [Reference::Whole(Side::Row)]);
    assert!(matches!(rules[0].destination, Destination::Public));
    assert!(matches!(rules[1].destination, Destination::Users));
    assert!(matches!(rules[2].destination, Destination::Superuser));
}

#[test]
fn rows_of_other_tables_are_read_with_their_paths() {
    let config = full();
    assert_eq!(config.related_ttl, Duration::from_secs(30));
    let related = &config.watches[0].related;
    let paths: Vec<_> = related.iter().map(|related| related.path.value.as_str()).collect();
    assert_eq!(paths, ["customer", "region", "customer.user"], "parents come first");
    assert_eq!(values(&related[0].fields), ["name", "country"]);
    assert_eq!(related[1].column.as_ref().unwrap().value, "region_code");
    assert_eq!(related[1].table.as_ref().unwrap().value.name, "regions");
    assert_eq!(related[1].key.as_ref().unwrap().value, "code");
    assert!(config.watches[1].related.is_empty());
}

#[test]
fn a_longer_path_goes_through_tables_of_which_nothing_is_read() {
    let text = format!("{HEAD}[[watch]]\nmodel = \"shop.Order\"\nrelated = {{ \"customer.user.profile\" = [\"city\"] }}\n");
    let (config, problems) = parse(&text);
    assert!(problems.items.is_empty(), "{problems:?}");
    let paths: Vec<_> = config.unwrap().watches[0]
        .related
        .iter()
        .map(|related| related.path.value.clone())
        .collect();
    assert_eq!(paths, ["customer", "customer.user", "customer.user.profile"]);
}

#[test]
fn a_watch_without_rules_notifies_the_staff() {
    let config = full();
    let rules = &config.watches[3].rules;
    assert_eq!(rules.len(), 1);
    assert!(matches!(rules[0].destination, Destination::Staff));
    assert_eq!(rules[0].on, Operations::ROWS);
    assert_eq!(at(&rules[0]), "[[watch]]");
}

#[test]
fn omitted_keys_have_their_defaults() {
    let (config, _) = parse(HEAD);
    let config = config.unwrap();
    assert_eq!(config.retention, Duration::from_hours(24));
    assert_eq!(config.related_ttl, Duration::from_mins(1));
    assert!(config.site.is_none() && config.centrifugo.is_none() && config.watches.is_empty());
    assert_eq!(config.prefix, "");
    assert_eq!(config.database.relay_role, None);
    let (config_of_a_laptop, problems) = parse(&format!("{HEAD}relay_role = \"${{INSTANT_NO_SUCH_ROLE:-}}\"\n"));
    assert!(!problems.has_errors() && config_of_a_laptop.unwrap().database.relay_role.is_none());
    assert!(config.django.is_none() && config.server.is_none() && config.anonymous && config.channels.is_empty());
    let (config, problems) = parse(&format!("{HEAD}[django]\nsecret_key = \"a\"\n[server]\n"));
    assert!(!problems.has_errors());
    let config = config.unwrap();
    let django = config.django.unwrap();
    assert_eq!(
        (django.session_cookie.as_str(), django.session_engine),
        ("sessionid", SessionEngine::Database)
    );
    assert_eq!(django.session_cookie_age, Duration::from_hours(14 * 24));
    assert_eq!(
        (django.user_model.app.as_str(), django.user_model.name.as_str()),
        ("auth", "User")
    );
    let server = config.server.unwrap();
    assert_eq!(
        (server.listen.as_str(), server.url.as_str()),
        ("127.0.0.1:8001", "http://127.0.0.1:8001")
    );
    assert!(server.allowed_origins.is_empty());
}

#[test]
fn durations_may_come_from_the_environment() {
    let text = format!(
        "{HEAD}[outbox]\nretention = \"${{RETENTION}}\"\n[related]\nttl = \"${{TTL:-90s}}\"\n[server]\nready_lag = \"${{LAG}}\"\n"
    );
    let environment = |name: &str| match name {
        "RETENTION" => Some("2h".to_owned()),
        "LAG" => Some("5m".to_owned()),
        name => environment(name),
    };
    let config = Config::parse(source(&text), &environment).0.unwrap();
    assert_eq!(config.retention, Duration::from_hours(2));
    assert_eq!(config.related_ttl, Duration::from_secs(90));
    assert_eq!(config.server.unwrap().ready_lag, Duration::from_mins(5));
}
