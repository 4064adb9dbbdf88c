//! `casemate vault init`

use std::{fs::File, io::Write as _};

use super::own::{self, MASTER, Own, SNAPSHOT};
use crate::{
    cli::VaultInitArgs,
    commands::secret::change,
    context::Context,
    failure::{Failure, OrFail as _, fail},
};

pub(super) fn run(context: &Context, args: &VaultInitArgs) -> anyhow::Result<()> {
    let name = args.vault.as_str();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.len() > 63 || !name.bytes().all(plain) {
        return fail(Failure::usage("a vault's name is 1 to 63 of a-z, 0-9 and `-`"));
    }
    let digest = args.image.rsplit_once("@sha256:").map(|(_, digest)| digest);
    if !digest.is_some_and(|d| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit())) {
        return fail(
            Failure::usage(format!(
                "`{}` does not name one image: a vault's is pinned by its digest",
                args.image
            ))
            .hint("find it out: casemate image resolve IMAGE"),
        );
    }
    for text in [&args.image, &args.host] {
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:/@".contains(&b)) {
            return fail(Failure::usage(format!("`{text}` is no name of a host or an image")));
        }
    }
    // Before anything is made: what is there is not written over.
    let failed = || {
        Failure::new(format!("cannot make `{}`", args.file.display()))
            .hint("choose another file: --file FILE")
    };
    let mut file = File::create_new(&args.file).or_fail(failed)?;
    let made = change(context, |content| Own::make(content, &args.vault))
        .and_then(|made| match made {
            Some(own) => Ok(own),
            None => {
                context.printer.note(format!(
                    "There is a vault `{name}`: its manifest is written, its master stays"
                ));
                own::read(context, &args.vault)
            }
        })
        .inspect_err(|_| drop(std::fs::remove_file(&args.file)));
    let own = made?;
    let publisher = hex::encode(own.publisher.verifying_key().to_bytes());
    let vault = hex::encode(own.keys.id());
    let text = manifest(args, &publisher, &vault);
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).or_fail(failed)?;
    context.printer.note(format!(
        "Deploy {} and release its secrets, then: casemate vault at {name} http://{}",
        args.file.display(),
        args.host
    ));
    let info = serde_json::json!({
        "vault": name, "releaseKey": vault, "publisher": publisher,
        "manifest": args.file.display().to_string(),
    });
    context.printer.data(&info, || vault.clone())
}

/// The vault's replicas take releases of the publisher's and of each other.
fn manifest(args: &VaultInitArgs, publisher: &str, vault: &str) -> String {
    let (name, image, host) = (&args.vault, &args.image, &args.host);
    format!(
        "\
apiVersion: casemate.io/v1
kind: Service
metadata:
  name: {name}
spec:
  # Who may release the vault's own master: you, and another replica of the vault.
  releasedBy:
  - \"{publisher}\"
  - \"{vault}\"
  containers:
  - name: vault
    image: {image}
    command: [casemate-vault]
    args:
    - --listen=0.0.0.0:8200
    - --store=/data/vault
    - --master=/run/secrets/{MASTER}
    - --snapshot=/run/secrets/{SNAPSHOT}
    - --publisher={publisher}
    secrets:
    - {{name: {MASTER}, file: {MASTER}}}
    - {{name: {SNAPSHOT}, file: {SNAPSHOT}}}
    ports:
    - {{name: vault, containerPort: 8200, protocol: HTTP, hosts: [{host}]}}
    readinessProbe: {{httpGet: {{path: /v1/health, port: 8200}}, periodSeconds: 2}}
    resources: {{cpu: 100m, memory: 256Mi, storage: 64Mi}}
    volumeMounts:
    - {{name: data, mountPath: /data}}
  volumes:
  - {{name: data, persistent: {{size: 256Mi}}}}
"
    )
}
