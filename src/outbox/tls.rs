//! TLS of the relay's connections, with libpq's parameters: `sslmode`, `sslrootcert`, `sslcert` and `sslkey` in the URL.
//!
//! As with libpq, `prefer` (the default) and `require` encrypt without checking the certificate, `verify-ca` requires it to be signed
//! by a known authority, and `verify-full` also requires it to be issued for the host.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::libpq;
use super::session::Error;

/// The TLS settings of a URL.
#[derive(Debug)]
struct Settings {
    mode: Mode,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// The driver's configuration for a URL, and the connector for its TLS.
///
/// # Errors
/// [`Error::Url`], [`Error::Unread`], or [`Error::Tls`] for a certificate that cannot be used.
pub(super) fn configure(url: &str) -> Result<(tokio_postgres::Config, MakeRustlsConnect), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let (plain, settings) = Settings::split(url, &variable)?;
    let mut config = libpq::read(&plain, &variable)?;
    config.ssl_mode(match settings.mode {
        Mode::Disable => SslMode::Disable,
        Mode::Prefer => SslMode::Prefer,
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
    });
    Ok((config, MakeRustlsConnect::new(settings.client()?)))
}

impl Settings {
    /// Takes the TLS parameters, which the driver does not support, out of a URL; libpq's variables fill in what it leaves open.
    fn split(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(String, Self), Error> {
        let path = |name| variable(name).map(PathBuf::from);
        let mut settings = Self {
            mode: variable("PGSSLMODE").map_or(Ok(Mode::Prefer), |mode| Mode::parse(&mode).ok_or(Error::Url))?,
            root: path("PGSSLROOTCERT"),
            certificate: path("PGSSLCERT"),
            key: path("PGSSLKEY"),
        };
        let Some((base, query)) = url.split_once('?') else {
            return Ok((url.to_owned(), settings));
        };
        let mut rest = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or(Error::Url)?;
            let path = || {
                percent_encoding::percent_decode_str(value)
                    .decode_utf8()
                    .ok()
                    .map(|path| PathBuf::from(&*path))
            };
            match name {
                "sslmode" => settings.mode = Mode::parse(value).ok_or(Error::Url)?,
                "sslrootcert" => settings.root = path(),
                "sslcert" => settings.certificate = path(),
                "sslkey" => settings.key = path(),
                "service" | "servicefile" | "passfile" => return Err(Error::Unread(libpq::SERVICE)),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", rest.join("&"))
        };
        Ok((plain, settings))
    }

    fn client(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(self.roots()?);
        let web_pki = || {
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| Error::Tls(error.to_string()))
        };
        // libpq's rule: with a named root, `require` checks the chain too.
        let chain = match self.mode {
            Mode::VerifyCa | Mode::VerifyFull => Some(web_pki()?),
            Mode::Require if self.root.is_some() => Some(web_pki()?),
            _ => None,
        };
        let verifier = Verifier {
            chain,
            name: self.mode == Mode::VerifyFull,
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| Error::Tls(error.to_string()))
            }
            (None, None) => Ok(builder.with_no_client_auth()),
            _ => Err(Error::Tls("`sslcert` and `sslkey` need each other".to_owned())),
        }
    }

    /// The certificate authorities: those of `sslrootcert`, or else the public ones.
    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        match self.root.as_deref().filter(|path| path.as_os_str() != "system") {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| Error::Tls(format!("{}: {error}", path.display())))?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        Ok(roots)
    }
}

impl Mode {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &std::path::Path, error: &rustls::pki_types::pem::Error) -> Error {
    Error::Tls(format!("{}: {error}", path.display()))
}

/// Checks a server's certificate as far as the mode requires; that the server holds its key is always checked.
#[derive(Debug)]
struct Verifier {
    /// The verifier of the chain; `None` if any signature is accepted.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whether the certificate must be issued for the host.
    name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_tls_are_taken_out_and_the_others_stay() {
        let url = "postgres://u@h/d?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Fca%20a.pem";
        let (plain, settings) = Settings::split(url, &|_| None).unwrap();
        assert_eq!(plain, "postgres://u@h/d?connect_timeout=3");
        assert_eq!(settings.mode, Mode::VerifyFull);
        assert_eq!(settings.root.unwrap(), PathBuf::from("/etc/ca a.pem"));
        let (plain, settings) = Settings::split("postgres://u@h/d", &|_| None).unwrap();
        assert_eq!((plain.as_str(), settings.mode), ("postgres://u@h/d", Mode::Prefer));
        let variable = |name: &str| (name == "PGSSLMODE").then(|| "require".to_owned());
        let (_, settings) = Settings::split("postgres://u@h/d", &variable).unwrap();
        assert_eq!(settings.mode, Mode::Require);
    }

    #[test]
    fn a_mode_that_libpq_does_not_have_is_refused() {
        assert!(matches!(configure("postgres://u@h/d?sslmode=yes"), Err(Error::Url)));
    }

    #[test]
    fn a_root_that_cannot_be_read_is_named() {
        let refused = configure("postgres://u@h/d?sslmode=verify-ca&sslrootcert=/nowhere/ca.pem");
        let Err(error) = refused else { panic!("it was taken") };
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
        assert!(!error.is_transient());
    }
}
