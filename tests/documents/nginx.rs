//! A real nginx with a page's configuration of a site, and a self-signed certificate.

use std::io::Write as _;
use std::path::PathBuf;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::lesson::Lesson;
use crate::support::cache;
use crate::support::process::{Process, find};
use crate::support::wait::{SOON, eventually};

/// The path of the site's certificate on a page.
const CERTIFICATES: &str = "etc/ssl/localhost";

/// The lines around those of the sites, as in a distribution's nginx.conf. One process, which ends when killed.
const MAIN: &str = "\
daemon off;
master_process off;
error_log stderr;
pid FOLDER/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    include FOLDER/etc/nginx/conf.d/*.conf;
}
";

/// Finds nginx as `tests/tools/setup` has found it, or on the search path.
fn program() -> Option<PathBuf> {
    cache::find("nginx/program").or_else(|| find("nginx"))
}

/// Whether nginx is installed; if not, prints that.
pub(super) fn is_installed() -> bool {
    let is_installed = program().is_some();
    if !is_installed {
        let why = "skipped: nginx is not installed here; `tests/tools/setup` takes it from Debian, or finds yours\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
    }
    is_installed
}

/// Makes the certificate of the site, and has this lesson's clients trust it. Returns its path.
pub(super) fn certify(lesson: &mut Lesson) -> String {
    let folder = lesson.folder().join(CERTIFICATES);
    std::fs::create_dir_all(&folder).unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = folder.join("fullchain.pem");
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(folder.join("privkey.pem"), signing_key.serialize_pem()).unwrap();
    let certificate = certificate.to_str().unwrap().to_owned();
    lesson.set("NODE_EXTRA_CA_CERTS", &certificate);
    lesson.set("CURL_CA_BUNDLE", &certificate);
    certificate
}

/// Starts nginx with the lesson's files of `/etc/nginx/conf.d`, and waits for this port.
pub(super) async fn start(lesson: &Lesson, port: u16) -> Process {
    let folder = lesson.folder().to_str().unwrap();
    std::fs::write(lesson.folder().join("nginx.conf"), MAIN.replace("FOLDER", folder)).unwrap();
    let program = program().unwrap();
    let nginx = lesson.begin(&format!("{} -p {folder} -c {folder}/nginx.conf", program.display()));
    eventually(SOON, "nginx", async || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
    nginx
}
