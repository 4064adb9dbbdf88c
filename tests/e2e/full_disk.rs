//! A provider whose disk is full.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use casemate_tests::{Options, ProviderOptions, Service, until, with_cluster};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statvfs::statvfs,
};

use crate::common::{amount, answers, deployed, paid_more};

/// A small disk of its own.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)?;
        let options = Some("size=96m,mode=0755");
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), options)
            .context("cannot mount a tmpfs; these tests need root")?;
        Ok(Self(path.to_owned()))
    }

    /// Takes all space but this much.
    fn fill_up_to(&self, left: u64) -> Result<()> {
        let stat = statvfs(&self.0)?;
        let free = stat.blocks_available() * stat.fragment_size();
        let size = usize::try_from(free.saturating_sub(left))?;
        Ok(fs::write(self.filler(), vec![0; size])?)
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still in use goes away with its users.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::mount(&folder.path().join("disk")).unwrap();
    let mut options = Options::new(0, &["ann"]);
    let mut small = ProviderOptions::new("small");
    small.data_dir = Some(disk.0.join("data"));
    options.providers.push(small);
    with_cluster(options, async |cluster| {
        let chain = cluster.node.chain().await?;
        let (ann, provider) = (&cluster.publishers[0], &cluster.providers[0]);
        // Enough for what the daemon itself notes, not for an image.
        disk.fill_up_to(768 << 10)?;
        let file = ann.write("book.yaml", &Service::new("book", &cluster.first).yaml())?;
        let opened = deployed(&ann.json(&["deploy", &file])?)?;
        let client = provider.client(ann, &chain)?;
        until("the provider says that its disk is full", async || {
            let status = client.lease(opened.lease).await?;
            let events = client.events(opened.lease, 0).await?;
            let text = format!("{status:?} {events:?}").to_lowercase();
            ensure!(text.contains("space"), "{text}");
            Ok(())
        })
        .await?;
        let view = chain.lease(opened.lease).await?.context("the lease is gone")?;
        assert_eq!(
            (view.earned(), view.escrow),
            (0, opened.deposit),
            "nothing ran, nothing is paid"
        );

        // With space it goes on by itself.
        fs::remove_file(disk.filler())?;
        answers(provider, "book.localhost").await?;
        paid_more(&chain, opened.lease, 0).await?;
        let stopped = ann.json(&["stop", "book", "--wait"])?;
        assert_eq!(amount(&stopped, "paid")? + amount(&stopped, "refunded")?, opened.deposit);
        Ok(())
    });
    drop(disk);
}
