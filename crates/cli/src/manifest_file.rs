//! Manifests on their way from a file to a provider.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use casemate_manifest::{LogKey, Manifest};
use casemate_primitives::{ManifestRef, Resources, blake2_256};

use crate::{
    commands::pinned_digest,
    context::Context,
    failure::{Failure, OrFail as _, fail},
    keystore::LogSecret,
};

/// A manifest as it is deployed.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// With every image pinned.
    pub(crate) manifest: Manifest,
    /// Its canonical JSON.
    pub(crate) canonical: String,
    /// Hash and size of that.
    pub(crate) reference: ManifestRef,
}

/// Reads a manifest file, or standard input for `-`.
pub(crate) fn read(file: &Path) -> anyhow::Result<Manifest> {
    let limit = casemate_manifest::MANIFEST_BYTES_MAX as u64;
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|f| f.take(limit + 1).read_to_string(&mut text))
    };
    read.map_err(|e| {
        let failure = Failure::usage(format!("cannot read the manifest `{}`", file.display()));
        let failure = match e.kind() {
            io::ErrorKind::NotFound => {
                failure.hint("write one to start from: casemate init; or name another file")
            }
            _ => failure,
        };
        anyhow::Error::new(e).context(failure)
    })?;
    Manifest::parse(&text).or_fail(|| {
        Failure::new(format!("`{}` is not a valid manifest", file.display()))
            .hint("what is allowed where: casemate manifest schema")
    })
}

/// Pins every image by its digest, and hashes.
pub(crate) async fn prepare(
    context: &Context,
    mut manifest: Manifest,
    name: Option<&str>,
) -> anyhow::Result<Prepared> {
    if let Some(name) = name {
        name.clone_into(&mut manifest.metadata.name);
        manifest.validate().or_fail(|| {
            Failure::usage(format!("`{name}` is no name for a service"))
                .hint("choose another --name")
        })?;
    }
    for container in &mut manifest.spec.containers {
        if container.image.is_pinned() {
            continue;
        }
        let digest = pinned_digest(context, container.image.as_str()).await?;
        let pinned = container.image.pinned(&digest).or_fail(|| {
            Failure::new(format!("the registry's digest of `{}` is none", container.image))
        })?;
        context.printer.note(format!("Image {} is {digest}", container.image));
        container.image = pinned;
    }
    let canonical = String::from_utf8(manifest.to_canonical_json())?;
    let size = u32::try_from(canonical.len()).ok().filter(|size| {
        *size <= casemate_primitives::MANIFEST_SIZE_MAX
            && canonical.len() <= casemate_client::api::MANIFEST_BYTES_MAX
    });
    let Some(size) = size else {
        return fail(
            Failure::new("the manifest is too large, written out with all defaults")
                .hint("move what is not settings out of it, into an image"),
        );
    };
    let reference = ManifestRef { hash: blake2_256(canonical.as_bytes()), size };
    Ok(Prepared { manifest, canonical, reference })
}

/// Has the output sealed to the publisher, unless `plain` is asked for or the manifest names somebody.
pub(crate) fn seal_logs(
    context: &Context,
    manifest: &mut Manifest,
    secret: &LogSecret,
    plain: bool,
) -> anyhow::Result<()> {
    if plain {
        if manifest.log_recipient().is_some() {
            return fail(
                Failure::usage("the manifest has `spec.logs`, and --plain-logs asks for none")
                    .hint("take one of them away"),
            );
        }
        context.printer.note("The provider can read what the containers write (--plain-logs)");
        return Ok(());
    }
    let public = secret.public().or_fail(|| Failure::new("the account has no log key"))?;
    let key = LogKey::new(public).or_fail(|| Failure::new("the account has no log key"))?;
    if !manifest.fill_log_recipient(key) && manifest.log_recipient() != Some(&key) {
        context.printer.note(
            "The manifest seals the output to another key than this account's: this account cannot \
             read it",
        );
    }
    Ok(())
}

/// What one replica needs.
pub(crate) fn resources(manifest: &Manifest) -> Resources {
    let needs = manifest.pod_resources();
    Resources {
        cpu_millicores: needs.cpu_millicores,
        memory_mib: needs.memory_mib,
        storage_mib: needs.storage_mib,
        gpus: needs.gpus,
    }
}

/// Resources for people.
pub(crate) fn resources_text(resources: &Resources) -> String {
    let Resources { cpu_millicores, memory_mib, storage_mib, gpus } = resources;
    let gpus = if *gpus == 0 { String::new() } else { format!(", {gpus} GPU") };
    format!("{cpu_millicores}m cpu, {memory_mib}Mi memory, {storage_mib}Mi storage{gpus}")
}
