//! Which addresses a download may go to: those of the public Internet, and what the configuration allows besides. Names
//! decide nothing here; they are resolved elsewhere, and what they resolve to is asked about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 that is not the public Internet (RFC 6890 and its successors), and one address of it that is a cloud's inside.
const REFUSED_V4: [(Ipv4Addr, u8); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// All of IPv6 that is given to anybody in the public Internet.
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What of it is not public all the same: protocol assignments with Teredo, documentation, 6to4.
const REFUSED_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// IPv4 behind a translator: as good as the IPv4 address in it.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// What the configuration allows besides public addresses.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    networks: Vec<IpNet>,
    hosts: Vec<Host>,
}

#[derive(Clone, Debug)]
struct Host {
    name: String,
    port: Option<u16>,
}

impl AllowList {
    /// From what was configured, each a network (`10.1.0.0/16`), an address, or a host (`mirror.example`,
    /// `localhost:8081`), several with commas between them.
    pub fn parse(text: &str) -> Result<Self> {
        let mut list = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if let Ok(network) = word.parse::<IpNet>() {
                list.networks.push(network);
            } else if let Ok(address) = word.parse::<IpAddr>() {
                list.networks.push(address.into());
            } else {
                list.hosts.push(host(word)?);
            }
        }
        Ok(list)
    }

    /// Whether a download from a host may go to this address.
    pub fn allows(&self, host: &str, port: u16, address: IpAddr) -> bool {
        let address = plain(address);
        is_public(address)
            || self.networks.iter().any(|network| network.contains(&address))
            || self
                .hosts
                .iter()
                .any(|own| own.name.eq_ignore_ascii_case(host) && own.port.is_none_or(|own| own == port))
    }
}

fn host(word: &str) -> Result<Host> {
    let (name, port) = match word.rsplit_once(':') {
        Some((name, port)) => {
            (name, Some(port.parse().with_context(|| format!("--asset-allow: {port:?} in {word:?} is no port"))?))
        }
        None => (word, None),
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
        bail!("--asset-allow: {word:?} is no network (10.1.0.0/16), no address and no host name");
    }
    Ok(Host { name: name.to_owned(), port })
}

/// IPv4 however it is dressed up.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    if v6_in(&NAT64, v6) {
        let [.., a, b, c, d] = v6.octets();
        return Ipv4Addr::new(a, b, c, d).into();
    }
    address
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !REFUSED_V4.iter().any(|(network, length)| v4_in(*network, *length, v4)),
        IpAddr::V6(v6) => v6_in(&PUBLIC_V6, v6) && !REFUSED_V6.iter().any(|network| v6_in(network, v6)),
    }
}

fn v4_in(network: Ipv4Addr, length: u8, address: Ipv4Addr) -> bool {
    Ipv4Net::new(network, length).is_ok_and(|network| network.contains(&address))
}

fn v6_in((network, length): &(Ipv6Addr, u8), address: Ipv6Addr) -> bool {
    Ipv6Net::new(*network, *length).is_ok_and(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &str, host: &str, port: u16, address: &str) -> bool {
        AllowList::parse(list).unwrap().allows(host, port, address.parse().unwrap())
    }

    #[test]
    fn only_the_public_internet_is_reached_unless_configured() {
        for address in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "168.63.129.16",
            "192.0.0.192",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
        ] {
            assert!(!allowed("", "example.org", 443, address), "{address}");
        }
        for address in
            ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "11.0.0.1", "2606:4700::1111"]
        {
            assert!(allowed("", "example.org", 443, address), "{address}");
        }
        assert!(allowed("", "example.org", 443, "::ffff:1.1.1.1"));
        assert!(allowed("", "example.org", 443, "64:ff9b::101:101"));
    }

    #[test]
    fn networks_addresses_and_hosts_can_be_allowed() {
        assert!(allowed("10.1.0.0/16", "x", 80, "10.1.2.3"));
        assert!(allowed("10.1.0.0/16", "x", 80, "::ffff:10.1.2.3"));
        assert!(!allowed("10.1.0.0/16", "x", 80, "10.2.0.1"));
        assert!(allowed("::1, 127.0.0.1", "x", 80, "127.0.0.1"));
        assert!(allowed("::1, 127.0.0.1", "x", 80, "::1"));
        assert!(allowed("mirror.corp", "MIRROR.corp", 8080, "10.0.0.1"));
        assert!(!allowed("mirror.corp", "other.corp", 8080, "10.0.0.1"));
        assert!(!allowed("mirror.corp", "x.mirror.corp", 8080, "10.0.0.1"));
        assert!(allowed("localhost:81", "localhost", 81, "127.0.0.1"));
        assert!(!allowed("localhost:81", "localhost", 80, "127.0.0.1"));
    }

    #[test]
    fn what_is_neither_is_said_so() {
        for text in ["10.0.0.0/33", "a b", "http://x", "x:y", ":80", "10.0.0.0/8x"] {
            assert!(AllowList::parse(text).unwrap_err().to_string().starts_with("--asset-allow: "), "{text}");
        }
        assert!(AllowList::parse("").unwrap().hosts.is_empty());
    }
}
