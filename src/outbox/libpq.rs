//! The defaults that libpq uses where a URL leaves something open: its variables, this machine's socket, the password file. Django and
//! the control plane use them too, and all must reach the same database.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::session::Error;

/// PostgreSQL's default port.
const PORT: u16 = 5432;
/// Where PostgreSQL has its socket: on Debian, and as built from source.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
/// The name of a socket's host in the password file.
const LOCAL: &str = "localhost";

/// Why a service is refused: only libpq reads its file.
pub(super) const SERVICE: &str = "`service`, `servicefile`, `passfile` and PGSERVICE are for libpq: name the host, the user and the \
                                  database instead, and the password file in PGPASSFILE";
/// Why several hosts are refused: libpq takes the first that answers.
const HOSTS: &str = "several hosts are not supported; name one, in the URL or in PGHOST";

/// Parses a URL and completes it from the environment, which `variable` reads.
///
/// # Errors
/// [`Error::Url`], and [`Error::Unread`] for a URL that leads libpq, and with it Django, elsewhere than the drivers here.
pub(super) fn read(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Config, Error> {
    let port = variable("PGPORT").and_then(|port| port.parse().ok()).unwrap_or(PORT);
    let mut config = with_port(url, port).parse().map_err(|_| Error::Url)?;
    refuse(&config, variable).map_err(Error::Unread)?;
    complete(&mut config, port, variable);
    Ok(config)
}

/// The URL with a port in its authority, if that names a host: the parameter `port`, which overrides the authority's own, or that
/// one, or `default`. The driver takes 5432 for a host without a port, which hides that the URL left it open.
fn with_port(url: &str, default: u16) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.into();
    };
    // As in the driver: the credentials end at the first `@`.
    let start = rest.find('@').map_or(0, |at| at + 1);
    let (credentials, rest) = rest.split_at(start);
    let (hosts, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if hosts.is_empty() {
        return url.into();
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (ports, others): (Vec<_>, Vec<_>) = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .partition(|pair| pair.starts_with("port="));
    let named = ports.last().and_then(|pair| pair.strip_prefix("port="));
    // The colons of an address are in brackets.
    let end = hosts.find(']').unwrap_or(0);
    let (name, own) = hosts[end..].split_once(':').unwrap_or((&hosts[end..], ""));
    let port = named.or(Some(own).filter(|own| !own.is_empty()));
    let port = port.map_or_else(|| default.to_string(), str::to_owned);
    let mark = if others.is_empty() { "" } else { "?" };
    let address = format!("{}{name}:{port}", &hosts[..end]);
    format!("{scheme}://{credentials}{address}{path}{mark}{}", others.join("&")).into()
}

/// Refuses a URL that leads libpq elsewhere than the drivers here, with the reason.
fn refuse(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), &'static str> {
    let names_no_host = config.get_hosts().is_empty() && config.get_hostaddrs().is_empty();
    if (names_no_host || config.get_dbname().is_none()) && variable("PGSERVICE").is_some() {
        return Err(SERVICE);
    }
    let is_list = |name| variable(name).is_some_and(|hosts| hosts.contains(','));
    let are_many = config.get_hosts().len() > 1 || config.get_hostaddrs().len() > 1;
    if are_many || names_no_host && (is_list("PGHOST") || is_list("PGHOSTADDR")) {
        return Err(HOSTS);
    }
    Ok(())
}

/// Fills in what a URL leaves open; `variable` reads an environment variable.
fn complete(config: &mut Config, port: u16, variable: &dyn Fn(&str) -> Option<String>) {
    if config.get_ports().is_empty() {
        config.port(port);
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let host = variable("PGHOSTADDR").or_else(|| variable("PGHOST"));
        config.host(host.unwrap_or_else(|| own_host(config.get_ports()[0]).to_owned()));
    }
    if let (None, Some(user)) = (config.get_user(), variable("PGUSER")) {
        config.user(user);
    }
    if let (None, Some(options)) = (config.get_options(), variable("PGOPTIONS")) {
        config.options(options);
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

/// The directory of the socket on this machine, or else the machine itself.
fn own_host(port: u16) -> &'static str {
    let has_socket = |folder: &&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    SOCKETS.into_iter().find(has_socket).unwrap_or(LOCAL)
}

/// The password from the password file, which is ignored if others may access it.
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

/// The fields of a line, separated by colons; a backslash escapes the character after it. The last one, the password, may have colons.
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
        read(url, &|name| variables.get(name).map(|value| (*value).to_owned())).unwrap()
    }

    #[test]
    fn what_the_url_leaves_open_is_taken_from_the_variables_and_nothing_else_is() {
        let variables = [
            ("PGHOST", "/run/pg"),
            ("PGPORT", "5433"),
            ("PGUSER", "ada"),
            ("PGDATABASE", "other"),
            ("PGPASSWORD", "secret"),
            ("PGOPTIONS", "-c search_path=shop"),
        ];
        let config = completed("postgres:///shop", &variables);
        assert_eq!(config.get_hosts(), [Host::Unix("/run/pg".into())]);
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("ada"), Some("shop")));
        assert_eq!(config.get_password(), Some(&b"secret"[..]));
        assert_eq!(config.get_options(), Some("-c search_path=shop"));
        let config = completed("postgres://bob:own@db:5434/shop?options=-c%20search_path%3Dother", &variables);
        assert_eq!(config.get_options(), Some("-c search_path=other"));
        assert_eq!(config.get_hosts(), [Host::Tcp("db".to_owned())]);
        assert_eq!((config.get_ports(), config.get_user()), (&[5434][..], Some("bob")));
        assert_eq!(config.get_password(), Some(&b"own"[..]));
        assert_eq!(completed("postgres://bob@db", &[]).get_ports(), [PORT]);
    }

    #[test]
    fn a_host_without_a_port_is_asked_at_the_port_of_the_variables_as_the_control_plane_does() {
        let variables = [("PGPORT", "5433")];
        for (url, ports) in [
            ("postgres://bob@db/shop", &[5433][..]),
            ("postgresql://db", &[5433]),
            ("postgres://bob:a:b@db?application_name=x", &[5433]),
            ("postgres://bob@db:/shop", &[5433]),
            ("postgres://bob@db:5432/shop", &[5432]),
            ("postgres://[::1]/shop", &[5433]),
            ("postgres://[::1]:5434/shop", &[5434]),
            ("postgres://%2Frun%2Fpg/shop", &[5433]),
            ("postgres://db/shop?port=5434&application_name=x", &[5434]),
            ("postgres://db:5435/shop?port=5434", &[5434]),
            ("postgres:///shop?host=db", &[5433]),
            ("postgres:///shop?host=db&port=5434", &[5434]),
        ] {
            let config = completed(url, &variables);
            assert_eq!(config.get_ports(), ports, "{url}");
            let has_name = config.get_application_name().is_some();
            assert_eq!(has_name, url.contains("application_name"), "{url}");
        }
        assert_eq!(
            completed("postgres://[::1]/shop", &[]).get_hosts(),
            [Host::Tcp("::1".to_owned())]
        );
    }

    #[test]
    fn a_service_and_several_hosts_are_refused_where_they_would_decide() {
        let refused = |url: &str, variables: &[&str]| {
            let config: Config = url.parse().unwrap();
            refuse(&config, &|name| variables.contains(&name).then(|| "x,y".to_owned())).err()
        };
        assert_eq!(refused("postgres://bob@db/shop", &["PGSERVICE"]), None);
        assert_eq!(refused("postgres:///shop", &["PGSERVICE"]), Some(SERVICE));
        assert_eq!(refused("postgres://bob@db", &["PGSERVICE"]), Some(SERVICE));
        assert_eq!(refused("postgres:///shop", &["PGUSER"]), None);
        assert_eq!(refused("postgres:///shop", &["PGHOST"]), Some(HOSTS));
        assert_eq!(refused("postgres://db/shop", &["PGHOST"]), None);
        assert_eq!(refused("postgres://a,b/shop", &[]), Some(HOSTS));
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
