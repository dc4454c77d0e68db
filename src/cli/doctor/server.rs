//! Centrifugo: is it there, does it accept the key, does it have the rules' namespaces with their options, what time is it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Findings;
use super::database::CLOCK_DIFFERENCE;
use crate::config::Config;
use crate::publisher::centrifugo::{CallError, Centrifugo};

/// The setting that names Centrifugo.
const URL: &str = "[centrifugo] url";

/// Checks Centrifugo; false if it does not answer, or not with this key.
pub(super) async fn look(
    server: &Centrifugo,
    channels: &BTreeMap<String, String>,
    config: &Config,
    findings: &mut Findings,
) -> bool {
    match server.clock().await {
        Ok(clock) => {
            let difference = clock.map_or(0, |clock| clock.duration_since(Timestamp::now()).as_secs());
            if difference.abs() > CLOCK_DIFFERENCE {
                findings.add(
                    "clock",
                    format!("Centrifugo's clock differs from this machine's by {difference} s"),
                    URL,
                    "timedatectl set-ntp true, on both machines",
                );
            }
        }
        Err(CallError::Key) => {
            findings.add(
                "centrifugo-key",
                "Centrifugo does not accept the key",
                "[centrifugo] api_key",
                "set it to Centrifugo's `http_api.key`",
            );
            return false;
        }
        Err(CallError::Other(error)) => {
            findings.add(
                "centrifugo-unreachable",
                error.to_string(),
                URL,
                "start Centrifugo, or set `[centrifugo] url` to its address without `/api`",
            );
            return false;
        }
    }
    if !grpc_answers(server, findings).await {
        return false;
    }
    for (namespace, channel) in channels {
        let looked = namespace_known(server, namespace, channel, config, findings).await;
        if let Err(error) = looked {
            findings.add("centrifugo-unreachable", error.to_string(), URL, "check Centrifugo's log");
            return false;
        }
    }
    true
}

/// Checks the gRPC API, if publications go there.
async fn grpc_answers(server: &Centrifugo, findings: &mut Findings) -> bool {
    match server.reach_grpc().await {
        Ok(()) => return true,
        Err(CallError::Key) => findings.add(
            "centrifugo-key",
            "Centrifugo's gRPC API does not accept the key",
            "[centrifugo] api_key",
            "set Centrifugo's `grpc_api.key` to the same, as `instant gen centrifugo` prints it",
        ),
        Err(CallError::Other(error)) => findings.add(
            "centrifugo-unreachable",
            error.to_string(),
            "[centrifugo] grpc_url",
            "enable Centrifugo's `grpc_api`, as `instant gen centrifugo` prints it, or set `grpc_url` to its address, usually with port 10000",
        ),
    }
    false
}

/// Checks one namespace: is it there, does it keep what `[channels]` defines.
async fn namespace_known(
    server: &Centrifugo,
    namespace: &str,
    channel: &str,
    config: &Config,
    findings: &mut Findings,
) -> Result<(), CallError> {
    if !server.knows(channel).await? {
        findings.add(
            "namespace",
            format!("Centrifugo has no namespace `{namespace}`: publications to it are parked, subscriptions refused"),
            channel,
            format!("add {{\"name\": \"{namespace}\"}} to Centrifugo's `channel.namespaces`, as `instant gen centrifugo` prints it, then: instant dead retry --all"),
        );
        return Ok(());
    }
    // The rules of a namespace agree.
    let wanted = config.channels.iter().find(|rule| rule.namespace() == namespace);
    let (history, presence) = wanted.map_or((false, false), |rule| (rule.history.is_some(), rule.presence));
    let mut lacks = Vec::new();
    if history && !server.keeps_history(channel).await? {
        lacks.push("history");
    }
    if presence && !server.keeps_presence(channel).await? {
        lacks.push("presence");
    }
    for option in lacks {
        findings.add(
            "namespace-options",
            format!("Centrifugo's namespace `{namespace}` has no {option}, which `[channels]` promises"),
            channel,
            "set the namespace's options as `instant gen centrifugo` prints them",
        );
    }
    Ok(())
}

/// The namespaces that the configuration names, each with a channel in it.
pub(super) fn namespaces(config: &Config) -> BTreeMap<String, String> {
    let names = config.namespaces().into_keys();
    names.map(|name| (name.clone(), format!("{name}:instant"))).collect()
}
