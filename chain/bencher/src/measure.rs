//! Runs one benchmark after the other.

use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use frame_benchmarking::{
    BenchmarkBatch, BenchmarkConfig, BenchmarkList, BenchmarkMetadata, BenchmarkParameter,
    BenchmarkResult,
};
use frame_support::traits::StorageInfo;

use crate::machine::{Machine, On};

/// How thoroughly to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Values that each parameter of a benchmark takes, from its least to its most.
    pub steps: u32,
    /// Runs with each of the values.
    pub repeat: u32,
}

/// What a benchmark has measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which.
    pub name: String,
    /// Its parameters with their ranges.
    pub components: Vec<(String, u32, u32)>,
    /// How the proof's size is to be estimated, where the benchmark says it: `(item, mode)`.
    pub proof_modes: Vec<(String, String)>,
    /// Runs that took the time.
    pub times: Vec<BenchmarkResult>,
    /// Runs that counted reads and writes.
    pub counts: Vec<BenchmarkResult>,
}

/// All benchmarks of a pallet.
#[derive(Clone, Debug)]
pub struct MeasuredPallet {
    /// The crate's name, such as `pallet_balances`.
    pub pallet: String,
    /// Each of its benchmarks.
    pub benchmarks: Vec<Measured>,
}

/// Runs all benchmarks of the runtime, or those of some pallets, and tells of its progress.
///
/// # Errors
/// When the runtime has no benchmarks, or one of them fails.
pub fn run(
    machine: &Machine,
    effort: Effort,
    only: &[String],
    mut progress: impl FnMut(&str),
) -> Result<(Vec<MeasuredPallet>, Vec<StorageInfo>)> {
    ensure!(effort.steps >= 2, "a line needs two points: at least 2 steps");
    ensure!(effort.repeat >= 1, "at least 1 repeat");
    let (lists, items) = lists(machine)?;
    if let Some(unknown) =
        only.iter().find(|name| lists.iter().all(|list| list.pallet != name.as_bytes()))
    {
        return Err(anyhow!("the runtime has no benchmarks of `{unknown}`"));
    }
    let mut pallets = Vec::new();
    for list in lists {
        let pallet = text(&list.pallet)?;
        if !only.is_empty() && !only.contains(&pallet) {
            continue;
        }
        let mut benchmarks = Vec::new();
        for metadata in &list.benchmarks {
            let (started, name) = (Instant::now(), text(&metadata.name)?);
            let measured = run_one(machine, effort, &list, metadata)
                .with_context(|| format!("benchmark `{pallet}::{name}`"))?;
            let seconds = started.elapsed().as_secs_f32();
            progress(&format!("{pallet}::{name} in {seconds:.1} s"));
            benchmarks.push(measured);
        }
        pallets.push(MeasuredPallet { pallet, benchmarks });
    }
    Ok((pallets, items))
}

fn lists(machine: &Machine) -> Result<(Vec<BenchmarkList>, Vec<StorageInfo>)> {
    machine
        .call(On::Timing, "Benchmark_benchmark_metadata", &false)
        .context("was the runtime built with the feature `runtime-benchmarks`?")
}

/// One benchmark without parameters, to be run turn by turn with something else.
#[derive(Clone, Debug)]
pub struct Single {
    list: BenchmarkList,
    name: Vec<u8>,
}

impl Single {
    /// Finds it, and runs it once with its own checks.
    ///
    /// # Errors
    /// When there is no such benchmark, or it fails.
    pub fn find(machine: &Machine, pallet: &str, name: &str) -> Result<Self> {
        let (lists, _) = lists(machine)?;
        let is_it = |metadata: &BenchmarkMetadata| {
            metadata.name == name.as_bytes() && metadata.components.is_empty()
        };
        let list = lists
            .into_iter()
            .find(|list| list.pallet == pallet.as_bytes() && list.benchmarks.iter().any(is_it))
            .with_context(|| format!("the runtime has no plain benchmark `{pallet}::{name}`"))?;
        let found = Self { list, name: name.as_bytes().to_vec() };
        dispatch(machine, On::Timing, &found.list, &found.name, &[], true, 1)?.for_each(drop);
        Ok(found)
    }

    /// Runs it so many times; gives the nanoseconds of each.
    ///
    /// # Errors
    /// When it fails.
    pub fn nanoseconds(&self, machine: &Machine, repeats: u32) -> Result<Vec<u128>> {
        let runs = dispatch(machine, On::Timing, &self.list, &self.name, &[], false, repeats)?;
        Ok(runs.map(|run| run.extrinsic_time).collect())
    }

    /// How many values it reads from the database, and writes to it.
    ///
    /// # Errors
    /// When it fails.
    pub fn reads_and_writes(&self, machine: &Machine) -> Result<(u32, u32)> {
        let mut runs = dispatch(machine, On::Counting, &self.list, &self.name, &[], false, 1)?;
        let run = runs.next().context("the benchmark returned no result")?;
        Ok((run.reads, run.writes))
    }
}

fn dispatch(
    machine: &Machine,
    on: On,
    list: &BenchmarkList,
    benchmark: &[u8],
    selected: &[(BenchmarkParameter, u32)],
    verify: bool,
    repeats: u32,
) -> Result<impl Iterator<Item = BenchmarkResult> + use<>> {
    let config = BenchmarkConfig {
        pallet: list.pallet.clone(),
        instance: list.instance.clone(),
        benchmark: benchmark.to_vec(),
        selected_components: selected.to_vec(),
        verify,
        internal_repeats: repeats,
    };
    let batches: Result<Vec<BenchmarkBatch>, String> =
        machine.call(on, "Benchmark_dispatch_benchmark", &config)?;
    let batches = batches.map_err(|error| anyhow!("with {selected:?}: {error}"))?;
    Ok(batches.into_iter().flat_map(|batch| batch.results))
}

fn run_one(
    machine: &Machine,
    effort: Effort,
    list: &BenchmarkList,
    metadata: &BenchmarkMetadata,
) -> Result<Measured> {
    let dispatch = |on, selected: &[(BenchmarkParameter, u32)], verify, repeats| {
        dispatch(machine, on, list, &metadata.name, selected, verify, repeats)
    };
    let (mut times, mut counts) = (Vec::new(), Vec::new());
    for selected in points(&metadata.components, effort.steps) {
        // Shows that the call did what it should; not timed, because the check takes time too.
        dispatch(On::Timing, &selected, true, 1)?.for_each(drop);
        counts.extend(dispatch(On::Counting, &selected, false, 1)?);
        times.extend(dispatch(On::Timing, &selected, false, effort.repeat)?);
    }
    ensure!(!times.is_empty() && !counts.is_empty(), "the benchmark returned no result");
    let components =
        metadata.components.iter().map(|(name, low, high)| (name.to_string(), *low, *high));
    let proof_modes = metadata
        .pov_modes
        .iter()
        .map(|(item, mode)| Ok((text(item)?.replace(' ', ""), text(mode)?)))
        .collect::<Result<_>>()?;
    Ok(Measured {
        name: text(&metadata.name)?,
        components: components.collect(),
        proof_modes,
        times,
        counts,
    })
}

/// Each parameter in `steps` steps, the others at their most.
fn points(
    components: &[(BenchmarkParameter, u32, u32)],
    steps: u32,
) -> Vec<Vec<(BenchmarkParameter, u32)>> {
    if components.is_empty() {
        return vec![Vec::new()];
    }
    let mut points = Vec::new();
    for (varied, low, high) in components {
        for step in 0..steps {
            let span = u64::from(high.saturating_sub(*low));
            let add = span * u64::from(step) / u64::from(steps.saturating_sub(1).max(1));
            let value = low.saturating_add(u32::try_from(add).unwrap_or(u32::MAX));
            let point = components
                .iter()
                .map(|(name, _, most)| (*name, if name == varied { value } else { *most }));
            points.push(point.collect());
        }
    }
    points
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).context("a name that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_goes_from_its_least_to_its_most() {
        use BenchmarkParameter::{a, b};
        assert_eq!(points(&[], 3), [vec![]]);
        assert_eq!(
            points(&[(a, 1, 5), (b, 0, 10)], 3),
            [
                vec![(a, 1), (b, 10)],
                vec![(a, 3), (b, 10)],
                vec![(a, 5), (b, 10)],
                vec![(a, 5), (b, 0)],
                vec![(a, 5), (b, 5)],
                vec![(a, 5), (b, 10)],
            ]
        );
    }
}
