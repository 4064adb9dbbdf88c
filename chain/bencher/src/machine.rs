//! The runtime, ready to be called: its code, an executor, and two states to run on.

use std::{borrow::Cow, path::Path};

use anyhow::{Context as _, Result, anyhow};
use codec::{Decode, Encode};
use sc_chain_spec::GenesisConfigBuilderRuntimeCaller;
use sc_client_db::BenchmarkingState;
use sc_executor::WasmExecutor;
use sp_core::traits::{
    CallContext, CodeExecutor as _, ReadRuntimeVersionExt, RuntimeCode, WrappedRuntimeCode,
};
use sp_externalities::Extensions;
use sp_keystore::{KeystoreExt, testing::MemoryKeystore};
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use sp_state_machine::{BasicExternalities, StateMachine};
use sp_version::RuntimeVersion;

/// What the runtime imports beside the host functions of every node.
type BenchmarkFunctions = frame_benchmarking::benchmarking::HostFunctions;
type HostFunctions = (sp_io::SubstrateHostFunctions, BenchmarkFunctions);

/// On which state a call runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum On {
    /// Counts reads, writes and the size of proofs, which takes time.
    Counting,
    /// Counts nothing, so that times are those of the call.
    Timing,
}

/// A runtime that can be called.
#[allow(missing_debug_implementations, reason = "the SDK's executor and state have none")]
pub struct Machine {
    executor: WasmExecutor<HostFunctions>,
    code: Vec<u8>,
    hash: Vec<u8>,
    counting: BenchmarkingState<BlakeTwo256>,
    timing: BenchmarkingState<BlakeTwo256>,
}

impl Machine {
    /// Loads a runtime and builds its genesis of this preset.
    ///
    /// # Errors
    /// When the file can't be read, is no runtime, or does not know the preset.
    pub fn load(path: &Path, preset: &str) -> Result<Self> {
        let code =
            std::fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
        let caller = GenesisConfigBuilderRuntimeCaller::<BenchmarkFunctions>::new(&code);
        let mut genesis = caller
            .get_storage_for_named_preset(Some(&preset.to_owned()))
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("failed to build the genesis `{preset}`"))?;
        genesis.top.insert(sp_storage::well_known_keys::CODE.to_vec(), code.clone());
        let state = |on| {
            let counts = on == On::Counting;
            BenchmarkingState::new(genesis.clone(), None, counts, counts)
                .map_err(|error| anyhow!("failed to make a state of the genesis: {error}"))
        };
        let (counting, timing) = (state(On::Counting)?, state(On::Timing)?);
        let executor = executor();
        let hash = BlakeTwo256::hash(&code).as_bytes().to_vec();
        Ok(Self { executor, code, hash, counting, timing })
    }

    /// Calls a function of the runtime on a state that is as genesis left it.
    ///
    /// # Errors
    /// When the runtime panics, has no such function, or returns something else.
    pub fn call<R: Decode>(&self, on: On, function: &str, arguments: &impl Encode) -> Result<R> {
        let state = match on {
            On::Counting => &self.counting,
            On::Timing => &self.timing,
        };
        let mut extensions = Extensions::default();
        extensions.register(KeystoreExt::new(MemoryKeystore::new()));
        extensions.register(ReadRuntimeVersionExt::new(self.executor.clone()));
        let fetcher = WrappedRuntimeCode(Cow::Borrowed(&self.code));
        let code =
            RuntimeCode { code_fetcher: &fetcher, heap_pages: None, hash: self.hash.clone() };
        let mut overlay = Default::default();
        let arguments = arguments.encode();
        let returned = StateMachine::new(
            state,
            &mut overlay,
            &self.executor,
            function,
            &arguments,
            &mut extensions,
            &code,
            CallContext::Offchain,
        )
        .execute()
        .map_err(|error| anyhow!("the runtime's `{function}` failed: {error}"))?;
        R::decode(&mut &returned[..])
            .map_err(|error| anyhow!("the runtime's `{function}` returned something odd: {error}"))
    }

    /// Name and version of the runtime.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn version(&self) -> Result<RuntimeVersion> {
        self.call(On::Timing, "Core_version", &())
    }
}

/// As a node's, but that two instances and two runtimes are all that is kept.
fn executor() -> WasmExecutor<HostFunctions> {
    WasmExecutor::builder().with_max_runtime_instances(2).with_runtime_cache_size(2).build()
}

/// Something else that is compiled to Wasm, run as a runtime is, but without a state.
#[allow(missing_debug_implementations, reason = "the SDK's executor has none")]
pub struct Program {
    executor: WasmExecutor<HostFunctions>,
    code: Vec<u8>,
    hash: Vec<u8>,
}

impl Program {
    /// Reads it.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn load(path: &Path) -> Result<Self> {
        let code =
            std::fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
        let hash = BlakeTwo256::hash(&code).as_bytes().to_vec();
        Ok(Self { executor: executor(), code, hash })
    }

    /// Calls a function of it, with what it decodes its arguments from.
    ///
    /// # Errors
    /// When it is no program for the executor, has no such function, or stops.
    pub fn call(&self, function: &str, arguments: &[u8]) -> Result<Vec<u8>> {
        let fetcher = WrappedRuntimeCode(Cow::Borrowed(&self.code));
        let code =
            RuntimeCode { code_fetcher: &fetcher, heap_pages: None, hash: self.hash.clone() };
        let mut nothing = BasicExternalities::default();
        let (returned, _) =
            self.executor.call(&mut nothing, &code, function, arguments, CallContext::Offchain);
        returned.map_err(|error| anyhow!("the program's `{function}` failed: {error}"))
    }
}
