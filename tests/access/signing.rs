use std::time::{SystemTime, UNIX_EPOCH};

use instant::django::signing::{Keys, Refusal, Signer};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::django::Django;

/// Payloads per direction, of sizes from nothing to where compression pays off.
const PAYLOADS: usize = 2000;

fn keys() -> Keys {
    Keys {
        current: SecretString::from("schlüssel \" ' 1"),
        fallbacks: vec![SecretString::from("an older key")],
    }
}

/// Python that makes `signer` with the keys of [`keys`].
const PYTHON: &str = "
from django.core import signing
import random, base64
class Raw:
    def dumps(self, data): return data
    def loads(self, data): return data
key, fallbacks = 'schlüssel \" \\' 1', ['an older key']
salt = 'django.contrib.sessions.SessionStore'
";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn random_payload() -> Vec<u8> {
    let length = fastrand::usize(..600);
    // Few letters compress, all bytes do not.
    let letters = if fastrand::bool() { 3 } else { 255 };
    (0..length).map(|_| fastrand::u8(..=letters)).collect()
}

#[tokio::test]
async fn what_django_signs_is_read_here() {
    reads_what_is_signed_by(&Django::on(18).await).await;
    reads_what_is_signed_by(&Django::lts_on(18).await).await;
}

async fn reads_what_is_signed_by(django: &Django) {
    let values = django
        .run(&format!(
            "{PYTHON}
values = []
for number in range({PAYLOADS}):
    data = bytes(random.choices(range(random.choice([3, 256])), k=random.randrange(600)))
    with_key = random.choice([key, *fallbacks])
    signed = signing.dumps(data, key=with_key, salt=salt, serializer=Raw, compress=True)
    values.append([base64.b64encode(data).decode(), signed])
print(json.dumps(values))"
        ))
        .await;
    let signer = Signer::new(&keys(), "django.contrib.sessions.SessionStore");
    let values: Vec<(String, String)> = serde_json::from_str(&values).unwrap();
    assert_eq!(values.len(), PAYLOADS);
    for (data, signed) in &values {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        assert_eq!(signer.unsign(signed, None, now()).as_ref(), Ok(&data), "{signed}");
    }
    assert!(values.iter().any(|(_, signed)| signed.starts_with('.')));
    assert!(values.iter().any(|(_, signed)| !signed.starts_with('.')));
}

#[tokio::test]
async fn what_is_signed_here_is_read_by_django() {
    signs_for(&Django::on(18).await).await;
    signs_for(&Django::lts_on(18).await).await;
}

async fn signs_for(django: &Django) {
    let signer = Signer::new(&keys(), "django.contrib.sessions.SessionStore");
    let values: Vec<Value> = (0..PAYLOADS)
        .map(|_| {
            use base64::Engine as _;
            let data = random_payload();
            let encoded = base64::engine::general_purpose::STANDARD.encode(&data);
            json!([encoded, signer.sign(&data, now())])
        })
        .collect();
    let answer = django
        .run(&format!(
            "{PYTHON}
values = json.loads(r'''{}''')
for data, signed in values:
    read = signing.loads(signed, key=key, salt=salt, serializer=Raw, max_age=60, fallback_keys=fallbacks)
    assert read == base64.b64decode(data), signed
print(len(values))",
            serde_json::to_string(&values).unwrap()
        ))
        .await;
    assert_eq!(answer.trim(), PAYLOADS.to_string());
}

#[test]
fn every_change_of_a_byte_is_refused() {
    let key = Signer::new(&keys(), "salt");
    for payload in [&b"{}"[..], &[b'a'; 300]] {
        let signed = key.sign(payload, now());
        assert!(key.unsign(&signed, None, now()).is_ok());
        for place in 0..signed.len() {
            for byte in (0..=127_u8).filter(|byte| *byte != signed.as_bytes()[place]) {
                let mut changed = signed.clone().into_bytes();
                changed[place] = byte;
                let changed = String::from_utf8(changed).unwrap();
                let answer = key.unsign(&changed, None, now());
                assert!(matches!(answer, Err(Refusal::Forged | Refusal::Malformed)), "{changed}");
            }
        }
        for end in 0..signed.len() {
            assert!(key.unsign(&signed[..end], None, now()).is_err(), "cut at {end}");
        }
    }
}
