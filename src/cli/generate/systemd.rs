//! The unit of a service.

use std::path::Path;

/// The unit that runs `binary` on the configuration at `config`.
pub(super) fn unit(binary: &Path, config: &Path) -> String {
    format!(
        "[Unit]
Description=Instant: row changes of a Django project for browsers
Wants=network-online.target
After=network-online.target postgresql.service

[Service]
Type=notify
NotifyAccess=main
ExecStart={binary} --config {config} run --log json
ExecReload=/bin/kill -HUP $MAINPID
# DATABASE_URL and the other variables that the configuration names, one NAME=value a line, readable by root alone.
EnvironmentFile=-/etc/instant/environment
Restart=always
RestartSec=1s
# A stop publishes what is in flight, for ten seconds at most.
TimeoutStopSec=20s
WatchdogSec=30s

DynamicUser=yes
CapabilityBoundingSet=
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target",
        binary = quoted(binary),
        config = quoted(config),
    )
}

/// A word of a command line, as systemd reads it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string().replace('%', "%%").replace('$', "$$");
    if path.contains([' ', '"', '\'', '\\']) {
        format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_ready_when_the_relay_is_and_is_watched() {
        insta::assert_snapshot!(unit(Path::new("/usr/bin/instant"), Path::new("/etc/instant/in stant.toml")));
    }
}
