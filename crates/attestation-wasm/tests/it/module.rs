//! The compiled module in wasmtime, called as JavaScript would.

use std::{env, fs, path::PathBuf, sync::OnceLock};

use wasmtime::{Engine, Instance, Memory, Store, TypedFunc};

/// An instance.
pub(crate) struct Module {
    store: Store<()>,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
    appraise: TypedFunc<(u32, u32), u32>,
    free: TypedFunc<(u32, u32), ()>,
    size: usize,
}

/// Compiled once for all tests.
fn compiled() -> &'static (wasmtime::Module, usize) {
    static COMPILED: OnceLock<(wasmtime::Module, usize)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let path = file();
        let bytes = fs::read(&path).unwrap_or_else(|err| {
            panic!(
                "{}: {err}\nhint: `cargo xtask test` builds the module; alone: `cargo build -p \
                 casemate-attestation-wasm --profile web --target wasm32v1-none --locked`, and \
                 CASEMATE_WASM_DIR is its folder",
                path.display()
            )
        });
        (wasmtime::Module::new(&Engine::default(), &bytes).unwrap(), bytes.len())
    })
}

/// `CASEMATE_WASM_DIR`, or beside the folder of this test: `target/debug/deps/it-…`.
fn file() -> PathBuf {
    let folder = env::var_os("CASEMATE_WASM_DIR").map_or_else(
        || {
            let test = env::current_exe().unwrap();
            test.ancestors().nth(3).unwrap().join("wasm32v1-none/web")
        },
        PathBuf::from,
    );
    folder.join("casemate_attestation_wasm.wasm")
}

impl Module {
    pub(crate) fn load() -> Self {
        let (module, size) = compiled();
        assert_eq!(module.imports().len(), 0, "it asks its host for nothing");
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        Self {
            memory: instance.get_memory(&mut store, "memory").unwrap(),
            alloc: instance.get_typed_func(&mut store, "casemate_alloc").unwrap(),
            appraise: instance.get_typed_func(&mut store, "casemate_appraise").unwrap(),
            free: instance.get_typed_func(&mut store, "casemate_free").unwrap(),
            store,
            size: *size,
        }
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// All memory that it has taken.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    pub(crate) fn appraise(&mut self, request: &[u8]) -> Vec<u8> {
        let length = u32::try_from(request.len()).unwrap();
        let place = self.alloc.call(&mut self.store, length).unwrap();
        self.memory.write(&mut self.store, usize::try_from(place).unwrap(), request).unwrap();
        let answer = self.appraise.call(&mut self.store, (place, length)).unwrap();
        let from = usize::try_from(answer).unwrap();
        let memory = self.memory.data(&self.store);
        let length = u32::from_le_bytes(memory[from..from + 4].try_into().unwrap());
        let bytes = memory[from + 4..from + 4 + usize::try_from(length).unwrap()].to_vec();
        self.free.call(&mut self.store, (answer, length + 4)).unwrap();
        bytes
    }
}
