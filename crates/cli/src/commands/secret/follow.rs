//! Secrets of a manifest that is deployed: who may release them, and releasing them by itself.

use std::time::Duration;

use casemate_manifest::Manifest;
use casemate_primitives::LeaseId;
use zeroize::Zeroizing;

use super::{
    release::{Order, Released, image_of, names_of, release, text},
    store_failure,
};
use crate::{
    chain_ops::Chain,
    cli::ReleaseArgs,
    context::{Context, Signer},
    failure::{Failure, OrFail as _},
    keystore::KdfParameters,
    manifest_file::Prepared,
    secrets::Content,
};

/// Lets the account's key release the secrets of a manifest that asks for some and names nobody.
/// The key is made if there is none.
pub(in crate::commands) fn name_releaser(
    context: &Context,
    signer: &Signer,
    passphrase: &str,
    manifest: &mut Manifest,
) -> anyhow::Result<()> {
    if manifest.asks_for_secrets() && manifest.spec.released_by.is_empty() {
        let store = context.secret_store(signer.address);
        let public = |content: &Content| content.release_key().verifying_key().to_bytes();
        let key = if store.exists() {
            store.read(passphrase).map(|content| public(&content))
        } else {
            store.change(passphrase, &KdfParameters::default(), |content| Ok(public(content)))
        };
        manifest.fill_released_by(store_failure(key)?);
    }
    Ok(())
}

/// What became of the secrets of a manifest that a lease was given.
pub(in crate::commands) struct Followed {
    /// For each replica, where a release was tried.
    pub(in crate::commands) infos: Vec<Released>,
    /// The failure of a release that was tried.
    pub(in crate::commands) result: anyhow::Result<()>,
}

/// Releases what a manifest asks for, once a lease was given it: where all is there, ours to
/// release, and not declined. Otherwise it says what is left to do.
pub(in crate::commands) async fn follow(
    context: &Context,
    chain: &Chain,
    (signer, passphrase): (&Signer, &Zeroizing<String>),
    lease: LeaseId,
    prepared: &Prepared,
    args: &ReleaseArgs,
    wait: Duration,
) -> Followed {
    let mut infos = Vec::new();
    let result = async {
        let manifest = &prepared.manifest;
        let names = names_of(manifest)?;
        if names.is_empty() {
            return Ok(());
        }
        let app = &manifest.metadata.name;
        let printer = &context.printer;
        let store = context.secret_store(signer.address);
        let content = match store.exists() {
            true => Some(store_failure(store.read(passphrase))?),
            false => None,
        };
        let ours = |content: &Content| {
            manifest.is_released_by(&content.release_key().verifying_key().to_bytes())
        };
        if !content.as_ref().is_some_and(ours) {
            printer.note(format!(
                "Lease {lease} waits for secrets from others: your key is not in `releasedBy`"
            ));
            return Ok(());
        }
        let missing: Vec<String> = content
            .iter()
            .flat_map(|content| content.missing(app, &names))
            .map(|name| format!("casemate secret set {name}"))
            .collect();
        if !missing.is_empty() {
            printer.warn(format!(
                "lease {lease} waits for secrets that you have not set. Set them: {}; then release \
                 them: casemate secret release {lease}",
                missing.join("; ")
            ));
            return Ok(());
        }
        if args.no_release {
            printer.note(format!("Release its secrets: casemate secret release {lease}"));
            return Ok(());
        }
        let view = chain.lease(lease).await?.or_fail(|| {
            Failure::new(format!("lease {lease} was settled before anything was released"))
        })?;
        let order = Order {
            chain,
            signer,
            passphrase,
            app,
            manifest_hash: prepared.reference.hash,
            names: &names,
            replica: None,
            appraisal: &args.appraisal,
            image: image_of(manifest).filter(|_| !args.no_image),
            wait: Some(wait),
        };
        let (released, result) = release(context, view, &order).await?;
        infos = released;
        for info in &infos {
            printer.note(text(info).trim_end());
        }
        result
    };
    let result = Box::pin(result).await.or_fail(|| {
        Failure::new(format!("lease {lease} is open, but has not got all of its secrets")).hint(
            format!(
                "see the reasons, then release them: casemate secret release {lease}; a \
                 development network needs --allow-software-tee"
            ),
        )
    });
    Followed { infos, result }
}
