//! `casemate manifest`

use casemate_primitives::blake2_256;

use crate::{cli::ManifestCommand, context::Context, manifest_file, printer::fields};

pub(super) fn run(context: &Context, command: &ManifestCommand) -> anyhow::Result<()> {
    match command {
        // The schema is JSON whatever the output's form.
        ManifestCommand::Schema => {
            let schema = casemate_manifest::json_schema();
            context.printer.raw(&format!("{}\n", serde_json::to_string_pretty(&schema)?))
        }
        ManifestCommand::Validate { file } => {
            let manifest = manifest_file::read(file)?;
            let needs = manifest.pod_resources();
            let canonical = manifest.to_canonical_json();
            let value = serde_json::json!({
                "name": manifest.metadata.name,
                "replicas": manifest.spec.replicas,
                "pinned": manifest.is_pinned(),
                "size": canonical.len(),
                "hash": format!("0x{}", hex::encode(blake2_256(&canonical))),
                "resources": {
                    "cpuMillicores": needs.cpu_millicores,
                    "memoryMib": needs.memory_mib,
                    "storageMib": needs.storage_mib,
                    "gpus": needs.gpus,
                },
            });
            context.printer.note(format!("`{}` is a valid manifest", file.display()));
            if !manifest.is_pinned() {
                context.printer.note(
                    "Tags in it are resolved to digests at `casemate deploy`, which changes the hash",
                );
            }
            context.printer.data(&value, || {
                fields(&[
                    ("name", manifest.metadata.name.clone()),
                    ("replicas", manifest.spec.replicas.to_string()),
                    ("each", manifest_file::resources_text(&manifest_file::resources(&manifest))),
                    ("hash", format!("0x{}", hex::encode(blake2_256(&canonical)))),
                ])
            })
        }
    }
}
