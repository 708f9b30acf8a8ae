//! Who holds a TCP port on this machine, for messages about a busy port. Reads /proc on Linux; elsewhere, and for
//! processes of others, it tells only that the port is held.

use std::{io::ErrorKind, net::TcpListener};

/// What is known of a port.
#[derive(Debug, PartialEq, Eq)]
pub enum PortState {
    /// Nobody listens.
    Free,
    /// Somebody does; the process, if it can be told: "node (pid 1234)".
    Held(Option<String>),
    /// It can't be found out.
    Unknown,
}

/// Looks at a port of the loopback interface.
pub fn port_state(port: u16) -> PortState {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => PortState::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse => PortState::Held(owner(port)),
        Err(_) => PortState::Unknown,
    }
}

#[cfg(target_os = "linux")]
fn owner(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        listener_inode(&table, port).map(str::to_owned)
    })?;
    let socket = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = files
            .flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket.as_str()));
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn owner(_port: u16) -> Option<String> {
    None
}

/// The inode of the socket that listens on the port, from the text of /proc/net/tcp.
#[cfg(target_os = "linux")]
fn listener_inode(table: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let local_port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (*state == LISTEN && local_port == port).then_some(*inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_port_is_told_from_a_free_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let PortState::Held(owner) = port_state(port) else { panic!("port {port} is held") };
        if cfg!(target_os = "linux") {
            let pid = format!("(pid {})", std::process::id());
            assert!(owner.is_some_and(|owner| owner.ends_with(&pid)));
        }
        drop(listener);
        assert_eq!(port_state(port), PortState::Free);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_table_is_read_by_columns() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0\n";
        assert_eq!(listener_inode(table, 8080), Some("4242"));
        assert_eq!(listener_inode(table, 8081), None);
    }
}
