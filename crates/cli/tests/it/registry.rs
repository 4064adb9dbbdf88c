//! `casemate image` against a real registry.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::run::Home;

/// A `docker-registry` on the loopback; killed when dropped.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(folder: &Path) -> Self {
        // Another process may take the port between our look and the registry's bind.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = folder.join(format!("registry-{port}.yml"));
            let storage = folder.join(format!("registry-{port}"));
            let text = format!(
                "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem:\n    \
                 rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
                storage.display()
            );
            std::fs::write(&config, text).unwrap();
            let log = File::create(folder.join("registry.log")).unwrap();
            let mut child = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .expect("this test needs docker-registry: apt-get install docker-registry");
            let deadline = Instant::now() + Duration::from_secs(120);
            while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { child, port };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry did not start; its log is in {}", folder.display());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_packed_folder_is_pushed_and_resolved_to_one_reference() {
    let home = Home::new();
    home.write("root/bin/app", "#!/bin/sh\n");
    let registry = Registry::start(&home.path(""));
    let host = format!("127.0.0.1:{}", registry.port);
    let reference = format!("{host}/team/app:v1");
    let pack = ["image", "pack", "--root", "root", "--layout", "layout", "--tag", "v1"];
    let packed = home.run(&pack);
    assert_eq!(packed.code, 0, "{}", packed.text());

    let insecure = ["--insecure-registry", host.as_str()];
    let push = ["image", "push", "layout", reference.as_str(), "--tag", "v1"];
    let pushed = home.run(&[&insecure[..], &push].concat());
    assert_eq!(pushed.code, 0, "{}", pushed.text());
    let pinned = format!("{reference}@{}", packed.stdout.trim());
    assert_eq!(pushed.stdout.trim(), pinned);

    let resolved = home.run(&[&insecure[..], &["image", "resolve", &reference]].concat());
    assert_eq!(resolved.stdout.trim(), pinned, "{}", resolved.text());
    let none = format!("{host}/team/app:v2");
    home.run(&[&insecure[..], &["image", "resolve", &none]].concat())
        .fails(1, &["cannot resolve image", "v2"]);
}
