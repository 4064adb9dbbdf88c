//! Manifests of the guest book.

use crate::registry::Image;

/// What a manifest says.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name of the service; its host name is this one below `localhost`.
    pub name: String,
    /// Host name.
    pub host: String,
    /// Image with its digest.
    pub image: String,
    /// Number of replicas.
    pub replicas: u16,
    /// Where the volume is mounted.
    pub mount: String,
    /// What the container gets by its manifest.
    pub env: Vec<(String, String)>,
    /// Variables that secrets are released into: name, and the secret's name.
    pub secrets: Vec<(String, String)>,
    /// Whether entries outlive a pod.
    pub persistent: bool,
    /// The provider's TCP port, in the place of the host name.
    pub tcp: Option<u16>,
}

impl Service {
    /// One replica that keeps its entries on `/data`.
    pub fn new(name: &str, image: &Image) -> Self {
        Self {
            name: name.to_owned(),
            host: format!("{name}.localhost"),
            image: image.reference.clone(),
            replicas: 1,
            mount: "/data".to_owned(),
            env: Vec::new(),
            secrets: Vec::new(),
            persistent: false,
            tcp: None,
        }
    }

    /// The manifest.
    pub fn yaml(&self) -> String {
        let Self { name, host, image, replicas, mount, .. } = self;
        let kind = if self.persistent { "persistent" } else { "empty" };
        let plain =
            self.env.iter().map(|(name, value)| format!("name: {name}, value: \"{value}\""));
        let secret = self.secrets.iter().map(|(name, secret)| {
            format!("name: {name}, valueFrom: {{secretRef: {{name: {secret}}}}}")
        });
        let lines: Vec<String> =
            plain.chain(secret).map(|line| format!("    - {{{line}}}\n")).collect();
        let env = match lines.concat() {
            none if none.is_empty() => none,
            lines => format!("    env:\n{lines}"),
        };
        let reached = match self.tcp {
            Some(port) => format!("protocol: TCP, hostPort: {port}"),
            None => format!("protocol: HTTP, host: {host}"),
        };
        format!(
            "apiVersion: casemate.io/v1\n\
             kind: Service\n\
             metadata:\n  \
               name: {name}\n\
             spec:\n  \
               replicas: {replicas}\n  \
               containers:\n  \
               - name: guestbook\n    \
                 image: {image}\n\
             {env}    \
                 ports:\n    \
                 - {{containerPort: 8080, {reached}}}\n    \
                 resources: {{cpu: 100m, memory: 32Mi, storage: 16Mi}}\n    \
                 volumeMounts:\n    \
                 - {{name: book, mountPath: {mount}}}\n    \
                 readinessProbe:\n      \
                   httpGet: {{path: /healthz, port: 8080}}\n      \
                   periodSeconds: 1\n  \
               volumes:\n  \
               - name: book\n    \
                 {kind}: {{size: 16Mi}}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaml_is_indented_as_yaml_wants_it() {
        let image = Image { reference: "r/i:t@sha256:0".into(), digest: "sha256:0".into() };
        let mut service = Service::new("book", &image);
        service.env.push(("A".into(), "b".into()));
        let yaml = service.yaml();
        let lines: Vec<&str> = yaml.lines().collect();
        assert_eq!(lines[4], "spec:");
        assert_eq!(lines[7], "  - name: guestbook");
        assert_eq!(lines[8], "    image: r/i:t@sha256:0");
        assert_eq!(lines[9], "    env:");
        assert_eq!(lines[10], "    - {name: A, value: \"b\"}");
        assert_eq!(lines[11], "    ports:");
        assert_eq!(lines[12], "    - {containerPort: 8080, protocol: HTTP, host: book.localhost}");
        assert_eq!(lines[13], "    resources: {cpu: 100m, memory: 32Mi, storage: 16Mi}");
        assert_eq!(lines[17], "      httpGet: {path: /healthz, port: 8080}");
        assert_eq!(*lines.last().unwrap(), "    empty: {size: 16Mi}");
    }
}
