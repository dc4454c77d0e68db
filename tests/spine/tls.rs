//! TLS between Instant and PostgreSQL, on the data plane and on the control plane, and between Instant and Centrifugo.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use instant::outbox::{Error, Leader};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Stack;
use crate::support::postgres::Cluster;
use crate::support::process::{Process, instant};
use crate::support::wait::{SOON, eventually};

/// An authority and a certificate for `localhost` that it signed, as files, and another authority.
fn certificates(folder: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, another) = (authority("ours"), authority("another"));
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ours)
        .unwrap();
    for (name, text) in [
        ("ca.crt", ours.pem()),
        ("another.crt", another.pem()),
        ("server.crt", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    // PostgreSQL wants its key unreadable for others: its own, or root's for a group that it belongs to.
    let mine = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let mode = |name: &str, mode| std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(mode)).unwrap();
    mode("server.key", if mine { 0o640 } else { 0o600 });
    mode("", 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_encrypted_and_certificates_checked_as_sslmode_says() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file='{}'", file("server.crt")),
        format!("ssl_key_file='{}'", file("server.key")),
    ];
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    // The wheels that carry other versions are built without TLS.
    let database = Cluster::start_new(15, &settings).await.database().await;
    let observer = database.connect().await;
    let url = |host: &str, parameters: &str| format!("{}?{parameters}", database.url.replace("127.0.0.1", host));

    for (host, parameters, encrypted) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), Some(false)),
        ("127.0.0.1", "connect_timeout=5".to_owned(), Some(true)),
        ("127.0.0.1", "sslmode=require".to_owned(), Some(true)),
        (
            "127.0.0.1",
            format!("sslmode=require&sslrootcert={}", file("another.crt")),
            None,
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca&sslrootcert={}", file("ca.crt")),
            Some(true),
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={}", file("ca.crt")),
            None,
        ),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={}", file("ca.crt")),
            Some(true),
        ),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={}", file("another.crt")),
            None,
        ),
        ("localhost", "sslmode=verify-full".to_owned(), None),
    ] {
        let leader = Leader::elect(&url(host, &parameters).into(), None, || {}).await;
        let Some(encrypted) = encrypted else {
            let error = leader.expect_err("the certificate does not fit");
            assert!(matches!(error, Error::Postgres(_)), "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
            continue;
        };
        let leader = leader.unwrap();
        let seen = "select ssl from pg_stat_ssl natural join pg_stat_activity where application_name = 'instant leader'";
        let row = observer.query_one(seen, &[]).await.unwrap();
        assert_eq!(row.get::<_, bool>(0), encrypted, "{parameters}");
        leader.step_down().await.unwrap();
        let gone = async || observer.query_opt(seen, &[]).await.unwrap().is_none().then_some(());
        eventually(SOON, "the end of the session", gone).await;
    }

    for (host, fits) in [("localhost", true), ("127.0.0.1", false)] {
        let url = url(host, &format!("sslmode=verify-full&sslrootcert={}", file("ca.crt")));
        let config = format!("[database]\nurl = '{url}'\n[[watch]]\ntable = 'pg_catalog.pg_class'\n");
        std::fs::write(folder.path().join("instant.toml"), config).unwrap();
        let planned = instant(folder.path(), &["check", "--db"], &[]).await;
        let said = String::from_utf8_lossy(&planned.stderr).into_owned();
        assert_eq!(said.contains("cannot be reached"), !fits, "{said}");
    }
}

/// Terminates TLS for `localhost`, and forwards to `server`; returns the port.
async fn front(folder: &Path, server: String) -> u16 {
    let certificate = CertificateDer::from_pem_file(folder.join("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut within = TcpStream::connect(server).await.unwrap();
                // A client that does not trust the certificate ends the handshake.
                if let Ok(mut without) = acceptor.accept(connection).await {
                    let _ = tokio::io::copy_bidirectional(&mut without, &mut within).await;
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn centrifugo_is_reached_over_tls_if_the_system_trusts_its_authority() {
    let mut stack = Stack::start(15, "").await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let server = stack.centrifugo.url.trim_start_matches("http://").to_owned();
    let port = front(folder.path(), server).await;
    stack.reconfigure(&stack.centrifugo.url, &format!("https://localhost:{port}"));
    let trusting = |name: &str| folder.path().join(name).display().to_string();

    let stranger = trusting("another.crt");
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[("SSL_CERT_FILE", &stranger)]);
    stack.django.run("Country.objects.create(code='a', name='')").await;
    stack.relay.line("Centrifugo cannot be reached", SOON).await;
    stack.relay.signal("TERM").await;
    stack.relay.wait(SOON).await;

    let ours = trusting("ca.crt");
    stack.relay = Process::instant(stack.folder.path(), &["run"], &[("SSL_CERT_FILE", &ours)]);
    assert_eq!(stack.public.next(SOON).await.value()["pk"], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_begins_no_encryption_is_given_up_as_one_that_cannot_be_reached() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    let centrifugo =
        instant::publisher::centrifugo::Centrifugo::new(instant::publisher::ApiServer::Centrifugo, &url, &"a key".into())
            .unwrap();
    let begun = Instant::now();
    let error = centrifugo.clock().await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    // It is 5 s for a connection, and 15 s for an answer.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
