use crate::{
    MemoryBackend,
    conformance::{Behaviour, Harness, conformance_tests},
};

/// Clones of one backend are restarts of the provider.
struct MemoryHarness(MemoryBackend);

const MISSING: &str = "registry.example/missing";

impl Harness for MemoryHarness {
    type Backend = MemoryBackend;

    async fn open(&mut self) -> MemoryBackend {
        self.0.clone()
    }

    fn image(&self) -> String {
        "registry.example/app".to_owned()
    }

    fn missing_image(&self) -> String {
        MISSING.to_owned()
    }

    fn command(&self, behaviour: Behaviour) -> Vec<String> {
        match behaviour {
            Behaviour::Stays => vec!["stay".to_owned()],
            Behaviour::Ends(code) => vec!["exit".to_owned(), code.to_string()],
        }
    }

    async fn leftovers(&mut self) -> Vec<String> {
        Vec::new()
    }
}

async fn harness() -> MemoryHarness {
    let backend = MemoryBackend::new();
    backend.refuse_image(MISSING);
    MemoryHarness(backend)
}

conformance_tests!(harness);
