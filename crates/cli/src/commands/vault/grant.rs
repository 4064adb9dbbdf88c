//! `casemate vault grant`

use std::collections::BTreeMap;

use casemate_attestation::{
    TrustRoots,
    policy::Policy,
    sev_snp::{Product, TcbVersion},
};
use casemate_client::chain::LeaseView;
use casemate_manifest::Manifest;
use casemate_primitives::{Hash256, blake2_256};
use casemate_ra_tls::{SecretName, Secrets};
use casemate_vault::entry::{Body, Entry, Given, Grant, Key, SignedEntry, Source};

use super::own::{self, MASTER, Own, SNAPSHOT, Versions};
use crate::{
    appraisal::trusted,
    chain_ops::Chain,
    cli::VaultGrantArgs,
    commands::{
        attest::{collateral_files, demands},
        lease::{find, notes},
        secret::{names_of, unix_now},
    },
    context::Context,
    failure::{Failure, OrFail as _, fail},
};

/// What a grant is made of.
struct Wanted {
    /// Its name, and the app's.
    app: String,
    genesis_hash: Hash256,
    lease: LeaseView,
    names: Vec<SecretName>,
    policy: Policy,
    roots: TrustRoots,
    collateral: Vec<Vec<u8>>,
    minimum_tcb: Vec<(Product, TcbVersion)>,
}

pub(super) async fn run(context: &Context, args: &VaultGrantArgs) -> anyhow::Result<()> {
    let chain = Chain::connect(context).await?;
    let publisher = context.own_address()?;
    let lease = find(context, &chain, publisher, args.lease.as_deref()).await?;
    let note = notes(context, &chain).get(lease.id).or_fail(|| {
        Failure::new(format!("this machine does not know what lease {} runs", lease.id))
            .hint("grant from the machine that deployed it")
    })?;
    if blake2_256(note.manifest.as_bytes()) != lease.manifest_hash {
        return fail(Failure::new(format!(
            "lease {} runs another manifest than the one that was deployed from here: nothing is \
             granted",
            lease.id
        )));
    }
    let manifest = Manifest::from_json(note.manifest.as_bytes())
        .or_fail(|| Failure::new("what this machine remembers of the manifest can't be read"))?;
    let app = manifest.metadata.name.clone();
    let names = if args.names.is_empty() { names_of(&manifest)? } else { args.names.clone() };
    if names.is_empty() && !args.replica {
        return fail(Failure::new(format!("the manifest of `{app}` asks for no secrets")));
    }
    let (policy, _) = demands(context, &args.appraisal)?;
    let collateral = collateral_files(&args.appraisal.collateral)?;
    let roots = trusted(&chain.trust_roots().await?);
    let genesis_hash = chain.genesis_hash();
    let minimum_tcb = amd_minima(&chain).await?;
    let wanted = Wanted { app, genesis_hash, lease, names, policy, roots, collateral, minimum_tcb };
    let (own, entries) = own::change_with(context, &args.vault, |own, content, versions| {
        let secrets = if args.replica {
            Secrets::new()
        } else {
            content.select(&wanted.app, &wanted.names).map_err(|err| {
                Failure::new(err.to_string()).hint("keep it first: casemate secret set NAME")
            })?
        };
        let entries = entries(own, versions, &wanted, &secrets, args)?;
        own.add(&entries)?;
        Ok(entries)
    })?
    .split();
    let told = own.tell(context, &args.vault, entries).await;
    if told.is_ok() {
        context.printer.note(format!(
            "Vault `{}` releases to `{}` for {} days; its manifest must name the vault under \
             releasedBy",
            args.vault, wanted.app, args.days
        ));
    }
    let info = serde_json::json!({
        "vault": args.vault.as_str(), "grant": wanted.app,
        "releaseKey": hex::encode(own.keys.id()),
        "names": wanted.names.iter().map(SecretName::as_str).collect::<Vec<_>>(),
        "collateral": wanted.collateral.len(), "everywhere": told.is_ok(),
    });
    context.printer.data(&info, || wanted.app.clone())?;
    told
}

/// Least firmware of AMD's machines, as far as the chain's governance has named it.
async fn amd_minima(chain: &Chain) -> anyhow::Result<Vec<(Product, TcbVersion)>> {
    let mut minima = Vec::new();
    for product in Product::ALL {
        if let Some(minimum) = chain.amd_minimum(product).await? {
            minima.push((product, minimum));
        }
    }
    Ok(minima)
}

/// What was given now, in the place of what was given before.
fn collateral(own: &Own, versions: &mut Versions, wanted: &Wanted) -> Vec<SignedEntry> {
    if wanted.collateral.is_empty() {
        return Vec::new();
    }
    let key = |n: usize| Key::Collateral(format!("{}.{n}", wanted.app));
    let mut bodies: BTreeMap<Key, Option<Body>> =
        own.collateral_of(&wanted.app).into_iter().map(|key| (key, None)).collect();
    let pieces = wanted.collateral.iter().enumerate();
    bodies.extend(pieces.map(|(n, piece)| (key(n), Some(Body::Collateral(piece.clone())))));
    let sign = |(key, body)| {
        Entry { vault: own.keys.id(), version: versions.next(), key, body }.sign(&own.publisher)
    };
    bodies.into_iter().map(sign).collect()
}

fn entries(
    own: &Own,
    versions: &mut Versions,
    wanted: &Wanted,
    secrets: &Secrets,
    args: &VaultGrantArgs,
) -> Result<Vec<SignedEntry>, Failure> {
    let given = |name: &str, from| Given { name: name.to_owned(), from };
    // Each app has its own names in a vault.
    let place = |name: &str| format!("{}.{name}", wanted.app);
    let mut entries = Vec::new();
    for (name, value) in secrets.iter() {
        let entry = Entry::secret(&own.keys, versions.next(), &place(name), value)
            .map_err(|err| Failure::new(err.to_string()))?;
        entries.push(entry.sign(&own.publisher));
    }
    entries.extend(collateral(own, versions, wanted));
    let secrets = if args.replica {
        vec![given(MASTER, Source::Master), given(SNAPSHOT, Source::Snapshot)]
    } else {
        secrets.names().map(|name| given(name, Source::Secret(place(name)))).collect()
    };
    let seconds = u64::from(args.days) * 24 * 60 * 60;
    let grant = Grant {
        genesis_hash: wanted.genesis_hash,
        manifest_hash: wanted.lease.manifest_hash,
        lease: args.only_lease.then_some(wanted.lease.id),
        replica: None,
        secrets,
        policy: serde_json::to_string(&wanted.policy)
            .map_err(|err| Failure::new(err.to_string()))?,
        roots: wanted.roots.clone(),
        minimum_tcb: wanted.minimum_tcb.clone(),
        until: unix_now().saturating_add(seconds),
    };
    let grant = Entry {
        vault: own.keys.id(),
        version: versions.next(),
        key: Key::Grant(wanted.app.clone()),
        body: Some(Body::Grant(Box::new(grant))),
    }
    .sign(&own.publisher);
    grant.check(&own.keys, &own.publisher.verifying_key()).map_err(|err| {
        Failure::new(err.to_string()).hint(
            "name the measurement that you accept: --policy FILE with {\"require\": {\"workload\": \
             [\"HEX\"]}}; `casemate attest` shows it",
        )
    })?;
    entries.push(grant);
    Ok(entries)
}
