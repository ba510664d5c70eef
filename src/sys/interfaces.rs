//! The network addresses of the machine. `getifaddrs(3)`

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::check;

/// One address of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The name of the interface.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Its netmask.
    pub netmask: Option<IpAddr>,
    /// Whether it belongs to the loopback interface.
    pub internal: bool,
}

/// A list that the C library allocated; freed on drop.
struct List(*mut libc::ifaddrs);

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list came from getifaddrs and is freed once.
        unsafe { libc::freeifaddrs(self.0) };
    }
}

/// Every IP address of every interface that is up.
///
/// # Errors
/// As `getifaddrs(3)`.
pub fn all() -> io::Result<Vec<Interface>> {
    let mut list = List(std::ptr::null_mut());
    // SAFETY: the call stores a list, or fails and leaves null, which freeifaddrs accepts.
    check(unsafe { libc::getifaddrs(&raw mut list.0) })?;
    let mut found = Vec::new();
    let mut next = list.0;
    // SAFETY: each entry is valid until the list is freed; the `ifa_next` of the last is null.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        let has = |flag: libc::c_int| entry.ifa_flags & flag.unsigned_abs() != 0;
        // SAFETY: an address is null or a complete sockaddr of its family; the name is a C string.
        let (address, netmask, name) = unsafe {
            let name = CStr::from_ptr(entry.ifa_name).to_string_lossy();
            (read(entry.ifa_addr), read(entry.ifa_netmask), name)
        };
        if let (Some(address), true) = (address, has(libc::IFF_UP)) {
            found.push(Interface {
                name: name.into_owned(),
                address,
                netmask,
                internal: has(libc::IFF_LOOPBACK),
            });
        }
    }
    Ok(found)
}

/// The IP address of a socket address; `None` for other families.
///
/// # Safety
///
/// The pointer is null, or points to a complete socket address of its family.
unsafe fn read(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller's promise.
    unsafe {
        match libc::c_int::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let v4 = &*address.cast::<libc::sockaddr_in>();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let v6 = &*address.cast::<libc::sockaddr_in6>();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_among_them() {
        let all = all().unwrap();
        let own = all
            .iter()
            .find(|i| i.address == Ipv4Addr::LOCALHOST)
            .unwrap();
        assert!(own.internal && own.name == "lo");
        assert_eq!(own.netmask, Some(Ipv4Addr::new(255, 0, 0, 0).into()));
    }
}
