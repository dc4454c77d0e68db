//! What libpq finds where a URL says nothing: its variables, the socket of this machine, the file of passwords. Django and the control
//! plane look there too, and all must come to the same database.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// PostgreSQL's port.
const PORT: u16 = 5432;
/// Where PostgreSQL has its socket: on Debian, and as it is built by itself.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
/// What the file of passwords calls the host of a socket.
const LOCAL: &str = "localhost";

/// Completes what a URL has said; `variable` looks an environment variable up.
pub(super) fn complete(config: &mut Config, variable: &dyn Fn(&str) -> Option<String>) {
    if config.get_ports().is_empty() {
        config.port(variable("PGPORT").and_then(|port| port.parse().ok()).unwrap_or(PORT));
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let host = variable("PGHOSTADDR").or_else(|| variable("PGHOST"));
        config.host(host.unwrap_or_else(|| own_host(config.get_ports()[0]).to_owned()));
    }
    if let (None, Some(user)) = (config.get_user(), variable("PGUSER")) {
        config.user(user);
    }
    if let (None, Some(database)) = (config.get_dbname(), variable("PGDATABASE")) {
        config.dbname(database);
    }
    if config.get_password().is_none()
        && let Some(password) = variable("PGPASSWORD").or_else(|| kept(config, variable))
    {
        config.password(password);
    }
}

/// The folder of the socket on this machine, or else the machine.
fn own_host(port: u16) -> &'static str {
    let has_socket = |folder: &&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    SOCKETS.into_iter().find(has_socket).unwrap_or(LOCAL)
}

/// The password in the file of passwords, which nobody else may read.
fn kept(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let path = variable("PGPASSFILE").map(PathBuf::from);
    let path = path.or_else(|| Some(Path::new(&variable("HOME")?).join(".pgpass")))?;
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.permissions().mode() & 0o077 != 0 {
        return None;
    }
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(_)) => LOCAL.to_owned(),
        None => config.get_hostaddrs().first()?.to_string(),
    };
    let user = config.get_user().map(str::to_owned).or_else(|| variable("USER"))?;
    let database = config.get_dbname().unwrap_or(&user);
    let asked = [&*host, &config.get_ports().first()?.to_string(), database, &user];
    BufReader::new(file).lines().map_while(Result::ok).find_map(|line| {
        let [fields @ .., password] = <[String; 5]>::try_from(fields(&line)).ok()?;
        let fits = |(field, asked): (&String, &str)| field == "*" || field == asked;
        fields.iter().zip(asked).all(fits).then_some(password)
    })
}

/// The fields of a line, between colons; a backslash takes the meaning from what is behind it. The last one, the password, may have colons.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let last = fields.len() - 1;
        match letter {
            ':' if last < 4 => fields.push(String::new()),
            '\\' => fields[last].extend(letters.next()),
            _ => fields[last].push(letter),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn completed(url: &str, variables: &[(&str, &str)]) -> Config {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let mut config: Config = url.parse().unwrap();
        complete(&mut config, &|name| variables.get(name).map(|value| (*value).to_owned()));
        config
    }

    #[test]
    fn what_the_url_leaves_open_is_taken_from_the_variables_and_nothing_else_is() {
        let variables = [
            ("PGHOST", "/run/pg"),
            ("PGPORT", "5433"),
            ("PGUSER", "ada"),
            ("PGDATABASE", "other"),
            ("PGPASSWORD", "secret"),
        ];
        let config = completed("postgres:///shop", &variables);
        assert_eq!(config.get_hosts(), [Host::Unix("/run/pg".into())]);
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("ada"), Some("shop")));
        assert_eq!(config.get_password(), Some(&b"secret"[..]));
        let config = completed("postgres://bob:own@db:5434/shop", &variables);
        assert_eq!(config.get_hosts(), [Host::Tcp("db".to_owned())]);
        assert_eq!((config.get_ports(), config.get_user()), (&[5434][..], Some("bob")));
        assert_eq!(config.get_password(), Some(&b"own"[..]));
        assert_eq!(completed("postgres://bob@db", &[]).get_ports(), [PORT]);
    }

    #[test]
    fn a_password_is_found_in_the_file_that_only_its_owner_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        let text = "# a comment\ndb:5432:shop:bob:first\ndb:*:shop:ada:a\\:b\\\\c:d\n*:*:*:*:any\n";
        std::fs::write(&path, text).unwrap();
        let file = [("PGPASSFILE", path.to_str().unwrap())];
        let password = |url: &str| completed(url, &file).get_password().map(<[u8]>::to_vec);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(password("postgres://bob@db/shop").as_deref(), Some(&b"first"[..]));
        assert_eq!(password("postgres://ada@db:5433/shop").as_deref(), Some(&b"a:b\\c:d"[..]));
        assert_eq!(password("postgres://ada@elsewhere/shop").as_deref(), Some(&b"any"[..]));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert_eq!(password("postgres://bob@db/shop"), None);
    }
}
