//! Whom an app runs as: names are looked up in the image's own files.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use casemate_manifest::{Container, SecurityContext};
use nix::fcntl::OFlag;

use crate::config::User;

/// Largest `/etc/passwd` or `/etc/group` that is read.
pub const USERS_BYTES_MAX: u64 = 1 << 20;

/// The users and groups of an image, as its files say; empty where there are none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Users {
    /// `/etc/passwd`.
    pub passwd: String,
    /// `/etc/group`.
    pub group: String,
}

impl Users {
    /// Those of the root file system that this process has.
    ///
    /// # Errors
    /// Where a file is there and can't be read, or is larger than [`USERS_BYTES_MAX`].
    pub fn of_own_root() -> io::Result<Self> {
        Ok(Self { passwd: read(Path::new("/etc/passwd"))?, group: read(Path::new("/etc/group"))? })
    }
}

/// What is no file counts as not there, as for who reads it in an image.
fn read(path: &Path) -> io::Result<String> {
    let mut options = File::options();
    // Opening a FIFO must not wait for a writer.
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(err)
            if matches!(err.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP | libc::ENXIO)) =>
        {
            return Ok(String::new());
        }
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(err) => return Err(err),
    };
    if !file.metadata()?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(USERS_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > USERS_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {USERS_BYTES_MAX} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A user and where its home is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Resolved {
    pub(super) user: User,
    pub(super) home: String,
}

/// The user of a container: the manifest's, else the image's (`user[:group]` by name or number).
pub(super) fn resolve(
    users: &Users,
    image_user: &str,
    container: &Container,
) -> Result<Resolved, String> {
    let context: Option<&SecurityContext> = container.security_context.as_ref();
    let by_manifest = context.and_then(|context| context.run_as_user).map(|uid| uid.to_string());
    let (name, group_name) = match by_manifest.as_deref() {
        Some(uid) => (uid, None),
        None => match image_user.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (image_user, None),
        },
    };
    // A volume over the files hides them from the agent, who must come to the same result.
    let hidden = ["/etc", "/etc/passwd", "/etc/group"];
    let is_hidden = |mount: &casemate_manifest::VolumeMount| hidden.contains(&&*mount.mount_path);
    let (passwd, group) = match container.volume_mounts.iter().any(is_hidden) {
        true => ("", ""),
        false => (users.passwd.as_str(), users.group.as_str()),
    };
    look_up(passwd, group, name, group_name, context.and_then(|c| c.run_as_group))
}

fn look_up(
    passwd: &str,
    group: &str,
    name: &str,
    group_name: Option<&str>,
    gid_wanted: Option<u32>,
) -> Result<Resolved, String> {
    let name = if name.is_empty() { "0" } else { name };
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| {
        fields.len() >= 6 && (fields[0] == name || number(fields[2]).is_some() && fields[2] == name)
    });
    let (uid, gid, home) = match (&entry, number(name)) {
        (Some(fields), _) => {
            let uid = number(fields[2]).ok_or_else(|| format!("user `{name}` has no number"))?;
            (uid, number(fields[3]).unwrap_or(0), fields[5].to_owned())
        }
        (None, Some(uid)) => (uid, 0, "/".to_owned()),
        (None, None) => {
            return Err(format!(
                "user `{name}` is not in the image's /etc/passwd; add it there, or \
                                set securityContext.runAsUser to a number"
            ));
        }
    };
    let gid = match (gid_wanted, group_name) {
        (Some(gid), _) => gid,
        (None, Some(wanted)) => match number(wanted) {
            Some(gid) => gid,
            None => group_entries(group)
                .find(|(name, _, _)| *name == wanted)
                .map(|(_, gid, _)| gid)
                .ok_or_else(|| format!("group `{wanted}` is not in the image's /etc/group"))?,
        },
        (None, None) => gid,
    };
    // As Docker does: the groups of the name, where no group was asked for.
    let user_name = entry.as_ref().map_or("", |fields| fields[0]);
    let groups = if group_name.is_none() && gid_wanted.is_none() && !user_name.is_empty() {
        group_entries(group)
            .filter(|(_, g, members)| *g != gid && members.split(',').any(|m| m == user_name))
            .map(|(_, gid, _)| gid)
            .take(64)
            .collect()
    } else {
        Vec::new()
    };
    let home = if home.starts_with('/') { home } else { "/".to_owned() };
    Ok(Resolved { user: User { uid, gid, groups }, home })
}

fn group_entries(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = number(fields.nth(1)?)?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

/// Decimal digits only; not the number that means "leave as it is".
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && *n < u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/home/root:/bin/sh\nredis:x:101:102::/var/lib/redis:/bin/false\n\
                          bad:x:y:z:::\nshort:x\n";
    const GROUP: &str = "root:x:0:\nredis:x:102:\nssl:x:110:redis,nobody\nweb:x:33:\n";

    fn ids(
        name: &str,
        group: Option<&str>,
        gid: Option<u32>,
    ) -> Option<(u32, u32, Vec<u32>, String)> {
        let found = look_up(PASSWD, GROUP, name, group, gid).ok()?;
        Some((found.user.uid, found.user.gid, found.user.groups, found.home))
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(ids("", None, None), Some((0, 0, vec![], "/home/root".into())));
        assert_eq!(ids("redis", None, None), Some((101, 102, vec![110], "/var/lib/redis".into())));
        assert_eq!(ids("101", None, None), Some((101, 102, vec![110], "/var/lib/redis".into())));
        assert_eq!(
            ids("redis", Some("web"), None),
            Some((101, 33, vec![], "/var/lib/redis".into()))
        );
        assert_eq!(ids("redis", Some("7"), Some(9)).map(|i| i.1), Some(9));
        assert_eq!(ids("5000", None, None), Some((5000, 0, vec![], "/".into())));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for (name, group) in [
            ("nobody", None),
            ("redis", Some("nogroup")),
            ("-1", None),
            ("4294967295", None),
            ("99999999999", None),
            ("bad", None),
        ] {
            assert_eq!(ids(name, group, None), None, "{name}");
        }
    }
}
