//! Centrifugo's configuration.

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::access::token;
use crate::config::channel::Publish;
use crate::config::{Centrifugo, ChannelRule, Config, Server};
use crate::web::SECRET_HEADER;

/// How long Centrifugo waits for an answer: longer than Instant ever takes.
const PROXY_TIMEOUT: &str = "4s";

/// The configuration of the server that `config` publishes to.
pub(super) fn configuration(config: &Config, server: &Centrifugo, web: &Server) -> Value {
    let secret = token::proxy_secret(server);
    let asks_site = config.django.as_ref().is_some_and(|django| django.whoami.is_some());
    let headers: &[&str] = if asks_site {
        &["Cookie", "Authorization"]
    } else {
        &["Cookie"]
    };
    let proxy = |path: &str| {
        json!({
            "endpoint": format!("{}/centrifugo/{path}", web.url),
            "timeout": PROXY_TIMEOUT,
            "http_headers": headers,
            "include_connection_meta": true,
            "http": { "static_headers": { SECRET_HEADER: secret.expose_secret() } },
        })
    };
    let enabled = |path: &str| {
        let mut proxy = proxy(path);
        proxy["enabled"] = true.into();
        proxy
    };
    let mut made = json!({
        "http_server": address(&server.url),
        "http_api": { "key": server.api_key.expose_secret() },
        "client": {
            "allowed_origins": web.allowed_origins,
            "token": { "hmac_secret_key": token::secret(config).map(|secret| secret.expose_secret().to_owned()) },
            "proxy": { "connect": enabled("connect"), "refresh": enabled("refresh") },
        },
        "channel": {
            "proxy": { "subscribe": proxy("subscribe") },
            "without_namespace": { "subscribe_proxy_enabled": true },
            "namespaces": namespaces(config),
        },
        "http_stream": { "enabled": true },
        "sse": { "enabled": true },
        "health": { "enabled": true },
    });
    if let Some(url) = &server.grpc_url {
        made["grpc_api"] = address(url);
        made["grpc_api"]["enabled"] = true.into();
        made["grpc_api"]["key"] = server.api_key.expose_secret().into();
    }
    made
}

/// Where the server listens, as far as its URL shows: the address only if it is this machine's own.
fn address(url: &str) -> Value {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let mut server = Map::new();
    if matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
        server.insert("address".to_owned(), host.trim_matches(['[', ']']).into());
    }
    if let Ok(port) = port.parse::<u16>() {
        server.insert("port".to_owned(), port.into());
    }
    Value::Object(server)
}

/// One namespace for each that may be published to: publishing to any other is an error.
fn namespaces(config: &Config) -> Vec<Value> {
    let found = config.namespaces();
    found.into_iter().map(|(name, channel)| options(&name, channel)).collect()
}

fn options(name: &str, channel: Option<&ChannelRule>) -> Value {
    let mut options = json!({ "name": name, "subscribe_proxy_enabled": true });
    let Some(channel) = channel else { return options };
    if let Some(history) = channel.history {
        options["history_size"] = history.size.into();
        options["history_ttl"] = format!("{}s", history.ttl.as_secs()).into();
        // Instant decides who may subscribe; what subscribers may ask is the same for anonymous ones, as in the hub.
        options["allow_history_for_subscriber"] = true.into();
        options["allow_history_for_anonymous"] = true.into();
    }
    if channel.recover {
        options["force_recovery"] = true.into();
    }
    if channel.presence {
        for option in [
            "presence",
            "join_leave",
            "force_push_join_leave",
            "allow_presence_for_subscriber",
            "allow_presence_for_anonymous",
        ] {
            options[option] = true.into();
        }
    }
    if let Some(publish) = channel.publish {
        options["allow_publish_for_subscriber"] = true.into();
        if publish == Publish::Everyone {
            options["allow_publish_for_anonymous"] = true.into();
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn of(text: &str) -> Value {
        let source = Source {
            path: "instant.toml".into(),
            text: text.into(),
        };
        let (config, _) = Config::parse(source, &|_| Some("postgres://a".to_owned()));
        let config = config.unwrap();
        configuration(&config, config.centrifugo.as_ref().unwrap(), config.server.as_ref().unwrap())
    }

    #[test]
    fn the_configuration_says_everything_that_centrifugo_must_know() {
        let made = of(include_str!("../../../tests/fixtures/full.toml"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&made).unwrap());
    }

    #[test]
    fn the_authorization_header_comes_through_only_where_the_site_itself_says_who_asks() {
        let server = "[database]\nurl = 'postgres://a'\n[centrifugo]\nurl = 'http://a'\napi_key = 'k'\n[server]\nallowed_origins = ['http://a']\n";
        let headers = |django: &str| {
            let made = of(&format!("{server}[django]\n{django}"));
            let asks = ["/client/proxy/connect", "/client/proxy/refresh", "/channel/proxy/subscribe"];
            asks.map(|place| made.pointer(place).unwrap()["http_headers"].clone())
        };
        assert_eq!(headers("secret_key = 'k'"), [(); 3].map(|()| json!(["Cookie"])));
        let asked = headers("whoami = 'https://a/whoami'");
        assert_eq!(asked, [(); 3].map(|()| json!(["Cookie", "Authorization"])));
    }
}
