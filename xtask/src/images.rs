//! The demo's images, made without a Docker engine.
//!
//! `guestbook` and `casemate-vault` are one static program each in an otherwise empty image. `nginx` is what Debian ships:
//! its packages, downloaded and checked by apt, unpacked side by side, less what no server needs.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    packages::{self, Package},
    paths::Paths,
    process::{Step, command, output, root_command},
};

/// An image in an OCI layout on disk.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) layout: PathBuf,
    pub(crate) tag: &'static str,
}

/// All images.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) guestbook: Image,
    pub(crate) nginx: Image,
    pub(crate) vault: Image,
}

/// Needed by maintainer scripts only, and those do not run here.
const CUT: &[&str] = &["debconf", "iproute2"];

/// What a server does not need: documentation, other languages, character set conversion, and
/// what belongs to an init system.
const PRUNE: &[&str] = &[
    "etc/cron.d",
    "etc/default",
    "etc/init.d",
    "etc/logrotate.d",
    "etc/ufw",
    "etc/nginx/sites-available",
    "etc/nginx/sites-enabled",
    "lib/systemd",
    "usr/lib/x86_64-linux-gnu/audit",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/share/apport",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/gcc",
    "usr/share/gdb",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/vim",
    "var/log/nginx",
];

/// Files that the image has besides the packages'. `/etc/passwd` is made by maintainer scripts
/// otherwise; the ids are Debian's.
const FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/usr/sbin/nologin\n\
         www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nwww-data:x:33:\n"),
    ("etc/nginx/nginx.conf", NGINX_CONF),
    ("usr/share/nginx/html/index.html", WELCOME),
];

/// Needs no capability and no writable place but `/tmp`. It never is root: a pod's network lets
/// everyone listen on port 80.
const NGINX_CONF: &str = "\
daemon off;
worker_processes 1;
pid /tmp/nginx.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    server_tokens off;
    keepalive_requests 1000000;
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server {
        listen 80 default_server;
        root /usr/share/nginx/html;
        location = /healthz { access_log off; return 200 'ok\\n'; default_type text/plain; }
    }
}
";

const WELCOME: &str = "\
<!doctype html>
<html lang=\"en\">
<title>nginx on Casemate</title>
<h1>It works</h1>
<p>This is Debian's nginx. It runs on a provider that is paid for each second of it.</p>
</html>
";

/// Raise it when the recipe changes: caches made by an older one are not used again.
const RECIPE: u32 = 2;

/// Tag of the images in their layouts and in the demo's registry.
const TAG: &str = "demo";

/// Makes all images. The programs must be built.
pub(crate) fn all(paths: &Paths) -> Result<Images> {
    let dir = paths.cache.join("images");
    Ok(Images {
        guestbook: one_program(paths, &dir, "guestbook", "guestbook")?,
        nginx: nginx(paths, &dir)?,
        vault: one_program(paths, &dir, "casemate-vault", "bin/casemate-vault")?,
    })
}

/// The images that [`all`] has made before.
pub(crate) fn made(paths: &Paths) -> Result<Images> {
    let image = |name: &str| -> Result<Image> {
        let layout = paths.cache.join("images").join(name).join("layout");
        if !layout.join("index.json").is_file() {
            bail!("no image in `{}`: run `cargo xtask images`", layout.display());
        }
        Ok(Image { layout, tag: TAG })
    };
    Ok(Images {
        guestbook: image("guestbook")?,
        nginx: image("nginx")?,
        vault: image("casemate-vault")?,
    })
}

/// One static program at `place`, in an otherwise empty image.
fn one_program(paths: &Paths, dir: &Path, name: &str, place: &str) -> Result<Image> {
    let step = Step::start(format!("packing the image of {name}"));
    let dir = dir.join(name);
    let root = dir.join("rootfs");
    fresh_dir(&root)?;
    for name in ["data", "tmp"] {
        make_dir(&root.join(name))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))
        .context("failed to set the mode of `tmp`")?;
    let program = paths.static_dir().join(name);
    let to = root.join(place);
    if let Some(parent) = to.parent() {
        make_dir(parent)?;
    }
    fs::copy(&program, &to).with_context(|| format!("failed to copy `{}`", program.display()))?;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("failed to set the mode of `{}`", to.display()))?;
    let entrypoint = format!("/{place}");
    let image = pack(paths, &root, &dir.join("layout"), &["--entrypoint", &entrypoint])?;
    step.done();
    Ok(image)
}

fn nginx(paths: &Paths, dir: &Path) -> Result<Image> {
    let root = nginx_root(dir)?;
    let step = Step::start("packing the image of nginx");
    let options = ["--entrypoint", "/usr/sbin/nginx", "--user", "33:33"];
    let image = pack(paths, &root, &dir.join("nginx/layout"), &options)?;
    step.done();
    Ok(image)
}

/// The root file system with Debian's nginx; kept, and made again only when a package changes.
fn nginx_root(dir: &Path) -> Result<PathBuf> {
    let dir = dir.join("nginx");
    let packages = match packages::closure("nginx", CUT) {
        Ok(packages) => packages,
        // Without apt's lists (offline, or cleaned): whatever there is from the last time.
        Err(error) => match newest_root(&dir) {
            Some(root) => return Ok(root),
            None => return Err(error.context("failed to find out what nginx needs")),
        },
    };
    let root = dir.join(format!("rootfs-{}", key(&packages)));
    if root.is_dir() {
        return Ok(root);
    }
    let step = Step::start(format!(
        "taking nginx from Debian's packages: {}",
        packages.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    ));
    let debs = dir.join("debs");
    fresh_dir(&debs)?;
    if let Err(error) = packages::download(&packages, &debs) {
        // The archive only keeps the newest versions.
        eprintln!("    {error:#}\n    trying once more with fresh lists");
        let mut update = root_command("apt-get")?;
        output(update.args(["update", "-q"]), "is the network there?")?;
        return nginx_root_again(&dir, &debs);
    }
    unpack(&debs, &dir, &root)?;
    step.done();
    Ok(root)
}

/// After `apt-get update`, with the versions that are there now.
fn nginx_root_again(dir: &Path, debs: &Path) -> Result<PathBuf> {
    let packages = packages::closure("nginx", CUT)?;
    let root = dir.join(format!("rootfs-{}", key(&packages)));
    fresh_dir(debs)?;
    packages::download(&packages, debs)?;
    unpack(debs, dir, &root)?;
    Ok(root)
}

/// Unpacks all packages in `debs` into one root, and puts it at `root` when it is whole.
fn unpack(debs: &Path, dir: &Path, root: &Path) -> Result<()> {
    let making = dir.join("making");
    fresh_dir(&making)?;
    let mut found = 0;
    for entry in list(debs)? {
        if entry.extension().is_some_and(|extension| extension == "deb") {
            let mut unpack = command("dpkg-deb");
            output(unpack.arg("-x").arg(&entry).arg(&making), "is the disk full?")?;
            found += 1;
        }
    }
    if found == 0 {
        bail!("apt downloaded nothing into `{}`", debs.display());
    }
    for path in PRUNE {
        remove(&making.join(path))?;
    }
    for name in ["tmp", "root", "var/www", "run", "proc", "dev", "sys"] {
        make_dir(&making.join(name))?;
    }
    fs::set_permissions(making.join("tmp"), fs::Permissions::from_mode(0o1777))
        .context("failed to set the mode of `tmp`")?;
    for (name, text) in FILES {
        let path = making.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    // Of older versions nothing is used any more.
    for old in list(dir)? {
        if is_root_dir(&old) {
            remove(&old)?;
        }
    }
    fs::rename(&making, root).with_context(|| format!("failed to make `{}`", root.display()))?;
    remove(debs)
}

/// Names a set of packages and this recipe.
fn key(packages: &[Package]) -> String {
    let mut hasher = DefaultHasher::new();
    RECIPE.hash(&mut hasher);
    PRUNE.hash(&mut hasher);
    FILES.hash(&mut hasher);
    for package in packages {
        package.to_string().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

fn newest_root(dir: &Path) -> Option<PathBuf> {
    list(dir).ok()?.into_iter().find(|path| is_root_dir(path))
}

fn is_root_dir(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with("rootfs-"))
}

fn pack(paths: &Paths, root: &Path, layout: &Path, options: &[&str]) -> Result<Image> {
    remove(layout)?;
    let mut pack = command(paths.bin("casemate"));
    pack.args(["image", "pack", "--root"]).arg(root);
    pack.arg("--layout").arg(layout).args(["--tag", TAG]).args(options);
    output(&mut pack, "build the programs with `cargo xtask build`")?;
    Ok(Image { layout: layout.to_owned(), tag: TAG })
}

/// Pushes an image and gives its reference, pinned by digest.
pub(crate) fn push(
    paths: &Paths,
    image: &Image,
    registry: &str,
    repository: &str,
) -> Result<String> {
    let reference = format!("{registry}/{repository}:{}", image.tag);
    let mut push = command(paths.bin("casemate"));
    push.args(["image", "push"]).arg(&image.layout).args(["--tag", image.tag]);
    push.args(["--insecure-registry", registry]).arg(&reference);
    let pinned = output(&mut push, "does the registry answer?")?;
    let pinned = pinned.trim();
    if !pinned.contains("@sha256:") {
        bail!("`casemate image push` printed `{pinned}`, which is no reference with a digest");
    }
    Ok(pinned.to_owned())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .with_context(|| format!("failed to list `{}`", dir.display()))
}

fn fresh_dir(dir: &Path) -> Result<()> {
    remove(dir)?;
    make_dir(dir)
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{process::is_root, temp::TempDir};

    /// Takes nginx from the machine's Debian archive and runs its own check of the configuration.
    #[test]
    #[ignore = "needs root and Debian's archive"]
    fn debians_nginx_accepts_the_configuration() {
        assert!(is_root(), "chroot needs root: run the tests as root");
        let dir = TempDir::new("nginx-test").expect("temp dir");
        let root = nginx_root(&dir.0).expect("packages");
        // An OCI runtime makes it a link to the container's standard output.
        let stdout = root.join("dev/stdout");
        fs::write(&stdout, "").expect("write");
        fs::set_permissions(&stdout, fs::Permissions::from_mode(0o666)).expect("set mode");
        fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).expect("set mode");
        // As in a pod: a network of its own, in which everyone may listen on port 80.
        let mut check = command("unshare");
        check.args(["--net", "sh", "-c"]).arg(
            "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start && \
             exec chroot --userspec=33:33 \"$0\" /usr/sbin/nginx -t",
        );
        check.arg(&root);
        output(&mut check, "").expect("nginx -t");
        let again = std::time::Instant::now();
        assert_eq!(nginx_root(&dir.0).expect("from the cache"), root);
        eprintln!("second time: {:?}", again.elapsed());
    }
}
