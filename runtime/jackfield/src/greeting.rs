//! What whoever sits at the terminal is told first: where to look.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where the page and the metrics are, a line each. The token is for this person, and for no log:
/// what follows `#` in an address reaches no server.
pub(crate) fn lines(listening: SocketAddr, tls: bool, token: Option<&str>) -> [String; 2] {
    let mut address = listening;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if tls { "https" } else { "http" };
    let signed_in = token.map_or_else(String::new, |token| format!("#token={token}"));
    [
        format!("page       {scheme}://{address}/{signed_in}"),
        format!("metrics    {scheme}://{address}/metrics"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_signs_in_on_this_machine() {
        let anywhere = "0.0.0.0:8083".parse().unwrap();
        let [page, metrics] = lines(anywhere, true, Some("abc"));
        assert!(
            page.ends_with(" https://127.0.0.1:8083/#token=abc"),
            "{page}"
        );
        assert!(
            metrics.ends_with(" https://127.0.0.1:8083/metrics"),
            "{metrics}"
        );
        let [page, _] = lines("[::1]:80".parse().unwrap(), false, None);
        assert!(page.ends_with(" http://[::1]:80/"), "{page}");
    }
}
