//! A network of its own for each pod.
//!
//! A pod has one link, to this machine, with an address of the subnet and a route to the machine's
//! address only. So it reaches no other pod and nothing outside (there is no route, and its app has
//! no right to make one). A firewall table on the machine lets answers back in and nothing else, so
//! that an app can't open connections to the machine's services; it needs `nft` and a kernel with
//! nf_tables, and is warned about where it can't be had.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use casemate_provider_core::PodId;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{
    config::Subnet,
    error::{Result, engine, io_error},
    instance::Instance,
};

/// Picks an address that no pod of this backend has and that no route of this machine leads to.
/// Starts at a place that depends on the backend, so that two with the same subnet seldom meet.
pub(crate) fn pick_address(
    subnet: &Subnet,
    instance: &Instance,
    id: PodId,
    taken: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let routes = routed_addresses();
    let hash = casemate_primitives::blake2_256(instance.link(id).as_bytes());
    let start = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % subnet.size();
    (0..subnet.size())
        .map(|step| {
            let index = (u64::from(start) + u64::from(step)) % u64::from(subnet.size());
            subnet.address(u32::try_from(index).unwrap_or(0))
        })
        .find(|address| !taken.contains(address) && !routes.contains(address))
}

/// Addresses that have a route of their own.
fn routed_addresses() -> BTreeSet<Ipv4Addr> {
    let text = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let routes = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let is_host = *fields.get(7)? == "FFFFFFFF";
        let address = u32::from_str_radix(fields.get(1)?, 16).ok()?;
        is_host.then(|| Ipv4Addr::from(address.to_le_bytes()))
    });
    routes.collect()
}

/// Makes the pod's network namespace, bound to `path`, and its link.
pub(crate) fn create(path: &Path, link: &str, address: Ipv4Addr, gateway: Ipv4Addr) -> Result<()> {
    fs::File::create(path).map_err(io_error("create", path))?;
    let inside = format!(
        "link set lo up\n\
         link add eth0 type veth peer name {link} netns {}\n\
         addr add {address} peer {gateway} dev eth0\n\
         link set eth0 up\n",
        std::process::id()
    );
    // A thread can be in another network than the rest of its process; it ends in there.
    let made = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || -> Result<()> {
            let refused = |err: nix::Error| engine("make a network namespace", err.to_string());
            unshare(CloneFlags::CLONE_NEWNET).map_err(refused)?;
            // Apps that are not root may listen on port 80: nobody else is in this network.
            let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
            mount(
                Some("/proc/thread-self/ns/net"),
                path,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .map_err(|err| io_error("mount", path)(err.into()))?;
            ip(&inside)
        });
        match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| {
                Err(engine("make a network namespace", "the thread for it has panicked"))
            }),
            Err(err) => Err(engine("start a thread", err.to_string())),
        }
    });
    made?;
    ip(&format!("addr add {gateway} peer {address} dev {link}\nlink set {link} up\n"))
}

/// Removes the machine's end of a link, and with it the other, if it is there.
pub(crate) fn remove_link(link: &str) -> Result<()> {
    let path = Path::new("/sys/class/net").join(link);
    if !path.exists() {
        return Ok(());
    }
    // It goes by itself once its namespace is gone: that may have been just now.
    ip(&format!("link del {link}\n")).or_else(|err| if path.exists() { Err(err) } else { Ok(()) })
}

/// Links of this backend.
pub(crate) fn links(instance: &Instance) -> Result<Vec<String>> {
    let mut names = crate::files::names(Path::new("/sys/class/net"))?;
    names.retain(|name| name.len() == 15 && name.starts_with(&instance.link_prefix()));
    Ok(names)
}

/// Sets up the firewall. Replaces one that is there in one transaction.
pub(crate) fn set_firewall(instance: &Instance) -> Result<()> {
    let (table, links) = (instance.firewall_table(), instance.link_prefix());
    // Without connection tracking: what is not the first packet of a connection may be an answer.
    feed(
        "nft",
        &["-f", "-"],
        &format!(
            "table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n\
             chain input {{ type filter hook input priority -10; policy accept;\n\
             iifname \"{links}*\" meta l4proto tcp tcp flags & (fin|syn|rst|ack) != syn accept\n\
             iifname \"{links}*\" drop\n}}\n\
             chain forward {{ type filter hook forward priority -10; policy accept;\n\
             iifname \"{links}*\" drop\noifname \"{links}*\" drop\n}}\n}}\n"
        ),
    )
}

/// Removes the firewall, if it is there.
pub(crate) fn remove_firewall(instance: &Instance) -> Result<()> {
    let table = instance.firewall_table();
    feed("nft", &["-f", "-"], &format!("table inet {table}\ndelete table inet {table}\n"))
}

fn ip(batch: &str) -> Result<()> {
    feed("ip", &["-batch", "-"], batch)
}

fn feed(program: &str, args: &[&str], input: &str) -> Result<()> {
    let what = || format!("run `{program}`");
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|err| engine(what(), format!("{err}; is it installed?")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Where it has ended already, its own words say why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let out = child.wait_with_output().map_err(|err| engine(what(), err.to_string()))?;
    if out.status.success() {
        return Ok(());
    }
    Err(engine(what(), String::from_utf8_lossy(&out.stderr).trim().to_owned()))
}
