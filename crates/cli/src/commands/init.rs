//! `casemate init`

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use casemate_manifest::Manifest;

use crate::{
    cli::InitArgs,
    context::Context,
    failure::{Failure, OrFail as _},
};

pub(super) fn run(context: &Context, args: &InitArgs) -> anyhow::Result<()> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => folder_name(&args.file),
    };
    let text = starter(&name, &args.image);
    // What is written must be what `deploy` takes; a bad name or image shows here.
    Manifest::parse(&text).or_fail(|| {
        Failure::usage(format!("`{name}` with image `{}` makes no valid manifest", args.image))
            .hint("choose another --name or --image")
    })?;
    let mut options = OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(&args.file).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| {
        let path = args.file.display();
        if e.kind() == io::ErrorKind::AlreadyExists {
            return Failure::new(format!("`{path}` is there already; it was not changed"))
                .hint("name another file, or give --force")
                .into_error();
        }
        anyhow::Error::new(e).context(Failure::new(format!("cannot write `{path}`")))
    })?;
    let path = args.file.display().to_string();
    context.printer.note(format!(
        "Look through it, then see who would run it: casemate deploy --dry-run {path}"
    ));
    context.printer.data(&serde_json::json!({ "file": path, "name": name }), || path.clone())
}

/// The folder's name made into a service's name.
fn folder_name(file: &Path) -> String {
    let folder =
        file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let folder = fs::canonicalize(folder).unwrap_or_default();
    let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let plain: String = name
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(50)
        .collect();
    match plain.trim_matches('-') {
        "" => "app".to_owned(),
        plain => plain.to_owned(),
    }
}

fn starter(name: &str, image: &str) -> String {
    format!(
        r#"# yaml-language-server: $schema=./casemate.schema.json
# (casemate manifest schema > casemate.schema.json)
apiVersion: casemate.io/v1
kind: Service
metadata:
  name: {name}
spec:
  replicas: 1
  restartPolicy: Always
  containers:
    - name: app
      # A tag is resolved to its digest when you deploy.
      image: {image}
      ports:
        - containerPort: 80
          protocol: HTTP
          host: {name}.localhost
      # What you get, and what you pay for by the second.
      resources:
        cpu: 250m
        memory: 128Mi
        storage: 256Mi
      readinessProbe:
        httpGet:
          path: /
          port: 80
"#
    )
}
