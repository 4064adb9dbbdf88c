//! `casemate attest key`: the key that signs attestation results.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use casemate_attestation_result::SigningKey;
use serde::Serialize;

use crate::{
    cli::AttestKeyArgs,
    context::Context,
    failure::{Failure, OrFail as _, fail},
    keystore::{KeystoreError, read_private, write_new},
    printer::fields,
};

/// What is printed; never the secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewKey {
    id: String,
    file: String,
    public_file: String,
}

pub(super) fn run(context: &Context, args: &AttestKeyArgs) -> anyhow::Result<()> {
    let public_file = public_file(&args.file);
    for path in [&args.file, &public_file] {
        if path.symlink_metadata().is_ok() {
            return fail(
                Failure::usage(format!(
                    "there is a `{}` already; it was not changed",
                    path.display()
                ))
                .hint(
                    "choose another name; results of an old key stay good as long as it is trusted",
                ),
            );
        }
    }
    let key = SigningKey::generate(getrandom::fill)
        .or_fail(|| Failure::new("the system gives no random numbers"))?;
    let unwritable = |path: &Path| {
        Failure::new(format!("cannot write `{}`", path.display()))
            .hint("choose a folder that is there and that you may write to")
    };
    write_new(&args.file, key.to_pkcs8_pem()?.as_bytes()).or_fail(|| unwritable(&args.file))?;
    let pem = key.public().to_spki_pem()?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&public_file)
        .and_then(|mut file| file.write_all(pem.as_bytes()))
        .or_fail(|| unwritable(&public_file))?;
    let made = NewKey {
        id: key.public().id().to_owned(),
        file: args.file.display().to_string(),
        public_file: public_file.display().to_string(),
    };
    context.printer.note(format!(
        "Keep `{}` to yourself; give `{}` to those who shall rely on your results",
        made.file, made.public_file
    ));
    context.printer.data(&made, || {
        fields(&[
            ("id", made.id.clone()),
            ("key", made.file.clone()),
            ("public key", made.public_file.clone()),
        ])
    })
}

/// `FILE.pub`
fn public_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Reads a key that only its owner may read.
pub(super) fn signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    let bytes = match read_private(path) {
        Ok(bytes) => bytes,
        Err(error @ KeystoreError::Permissions { .. }) => {
            return fail(
                Failure::usage(error.to_string())
                    .hint(format!("close it: chmod 600 {}", path.display())),
            );
        }
        Err(error) => {
            return Err(error).or_fail(|| {
                Failure::usage(format!("cannot use the key `{}`", path.display()))
                    .hint("make one: casemate attest key FILE")
            });
        }
    };
    let pem = std::str::from_utf8(&bytes).ok();
    pem.and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok()).or_fail(|| {
        Failure::usage(format!(
            "`{}` is no key to sign results with (P-256, PKCS#8 PEM)",
            path.display()
        ))
        .hint("make one: casemate attest key FILE")
    })
}
