//! The unit of a service.

use std::path::Path;

/// What `ProtectHome` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// The unit that runs `binary` on the configuration at `config`.
pub(super) fn unit(binary: &Path, config: &Path) -> String {
    format!(
        "[Unit]
Description=Instant: row changes of a Django project for browsers
Wants=network-online.target
After=network-online.target postgresql.service
# However long PostgreSQL is down, the service starts once it is back.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={binary} --config {config} run --log json
ExecReload=/bin/kill -HUP $MAINPID
# DATABASE_URL and the other variables that the configuration names, one NAME=value per line, readable only by root.
EnvironmentFile=-/etc/instant/environment
Restart=always
RestartSec=1s
# A stop publishes what is in flight, for at most ten seconds.
TimeoutStopSec=20s
WatchdogSec=30s
# Each connection to the hub takes one.
LimitNOFILE=65536

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

/// What the unit's service could not see, and what to do about it: `ProtectHome` hides home folders.
pub(super) fn warnings(binary: &Path, config: &Path) -> Vec<String> {
    let helps = [
        (
            binary,
            "install the binary under /usr/local, with `cargo install --path . --root /usr/local`",
        ),
        (config, "put the configuration elsewhere, such as /etc/instant/instant.toml"),
    ];
    let hidden = helps.into_iter().filter(|(path, _)| is_hidden(path));
    let said = |(path, help): (&Path, &str)| {
        let path = path.display();
        format!("the service cannot see {path}, since the unit hides home folders from it: {help}")
    };
    hidden.map(said).collect()
}

/// Whether it lies in a home folder.
pub(super) fn is_hidden(path: &Path) -> bool {
    HOMES.iter().any(|home| path.starts_with(home))
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

    #[test]
    fn what_lies_in_a_home_folder_is_told_with_a_place_that_the_service_sees() {
        let warned = |binary: &str, config: &str| warnings(Path::new(binary), Path::new(config));
        assert_eq!(
            warned("/root/.cargo/bin/instant", "/home/ada/shop/instant.toml"),
            [
                "the service cannot see /root/.cargo/bin/instant, since the unit hides home folders from it: install the binary under \
                 /usr/local, with `cargo install --path . --root /usr/local`",
                "the service cannot see /home/ada/shop/instant.toml, since the unit hides home folders from it: put the configuration \
                 elsewhere, such as /etc/instant/instant.toml",
            ]
        );
        assert_eq!(warned("/usr/local/bin/instant", "/etc/instant/instant.toml"), [""; 0]);
        assert_eq!(warned("/homes/instant", "/run/instant/instant.toml"), [""; 0]);
    }
}
