//! The rate limit per address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use axum::http::HeaderMap;
use parking_lot::Mutex;

use super::connection::Peer;

/// Requests in a burst: in the morning, an office behind one address opens its pages.
const BURST: f64 = 100.0;
/// Requests per second after that.
const RATE: f64 = 10.0;
/// Addresses that are tracked.
const ADDRESSES: usize = 20_000;
/// The header in which a reverse proxy reports its client.
const FORWARDED: &str = "x-forwarded-for";

/// A token bucket for each address.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Limiter {
    /// Whether a request from `address` is allowed at `now`.
    pub(super) fn admits(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        let address = network(address);
        if buckets.len() >= ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| bucket.refilled(now) < BURST);
            if buckets.len() >= ADDRESSES {
                // That many addresses at once are not people; evicting all costs less than the memory.
                buckets.clear();
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { left: BURST, at: now });
        bucket.left = bucket.refilled(now);
        bucket.at = now;
        let admitted = bucket.left >= 1.0;
        if admitted {
            bucket.left -= 1.0;
        }
        admitted
    }
}

impl Bucket {
    fn refilled(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        RATE.mul_add(passed, self.left).min(BURST)
    }
}

/// The client's address. A reverse proxy on this machine or in its private network reports its client; the header of any other peer is
/// not trusted, nor are the entries before the last.
pub(super) fn client(peer: Peer, headers: &HeaderMap) -> IpAddr {
    let address = peer.0.ip().to_canonical();
    if !is_near(address) {
        return address;
    }
    let last = headers.get_all(FORWARDED).iter().next_back();
    let named = last.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    named.map_or(address, |named: IpAddr| named.to_canonical())
}

const fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// The range of one client: an IPv4 address, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admitted(limiter: &Limiter, address: &str, now: Instant) -> usize {
        (0..1000).filter(|_| limiter.admits(address.parse().unwrap(), now)).count()
    }

    #[test]
    fn an_address_has_a_burst_and_then_a_rate_of_its_own() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        assert_eq!(admitted(&limiter, "192.0.2.1", now), 100);
        assert_eq!(admitted(&limiter, "192.0.2.1", now + Duration::from_secs(2)), 20);
        assert_eq!(admitted(&limiter, "192.0.2.2", now), 100);
        assert_eq!(admitted(&limiter, "2001:db8::1", now), 100);
        assert_eq!(admitted(&limiter, "2001:db8::2", now), 0);
    }

    #[test]
    fn the_memory_of_addresses_is_bounded() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for number in 0..50_000_u32 {
            limiter.admits(IpAddr::V4(number.into()), now);
        }
        assert!(limiter.buckets.lock().len() <= ADDRESSES);
    }

    #[test]
    fn only_a_proxy_nearby_reports_its_client() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, "198.51.100.1, 198.51.100.2".parse().unwrap());
        let client = |peer: &str| client(Peer(peer.parse().unwrap()), &headers).to_string();
        assert_eq!(client("127.0.0.1:1"), "198.51.100.2");
        assert_eq!(client("[::ffff:10.0.0.1]:1"), "198.51.100.2");
        assert_eq!(client("192.0.2.1:1"), "192.0.2.1");
    }

    #[test]
    fn a_proxy_that_listens_on_ipv6_reports_each_ipv4_client_by_itself() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, "::ffff:198.51.100.2".parse().unwrap());
        let client = client(Peer("127.0.0.1:1".parse().unwrap()), &headers);
        assert_eq!(client.to_string(), "198.51.100.2");
    }
}
