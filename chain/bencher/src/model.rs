//! From measured runs to a weight: a straight line over each parameter.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use frame_benchmarking::{Analysis, BenchmarkResult, BenchmarkSelector};
use frame_support::traits::StorageInfo;

use crate::measure::Measured;

/// A constant part and one for each parameter.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Line {
    /// With all parameters at zero.
    pub base: u128,
    /// More for each one of a parameter: its name, how much, and the standard error of that.
    /// Parameters that change nothing are left out.
    pub slopes: Vec<(String, u128, u128)>,
}

/// The weight of a call.
#[derive(Clone, Debug)]
pub struct CallWeight {
    /// Name of the benchmark, which is that of the call.
    pub name: String,
    /// Parameters with their ranges.
    pub components: Vec<(String, u32, u32)>,
    /// Picoseconds, without the database.
    pub time: Line,
    /// Least time seen, in nanoseconds.
    pub least_nanoseconds: u128,
    /// Values read from the database.
    pub reads: Line,
    /// Values written to the database.
    pub writes: Line,
    /// Bytes of the largest storage proof.
    pub proof: Line,
    /// Which storage items, as text for people.
    pub touched: Vec<String>,
}

impl CallWeight {
    /// Fits the lines.
    ///
    /// # Errors
    /// When there are too few runs for a line.
    pub fn fit(measured: &Measured, items: &[StorageInfo]) -> Result<Self> {
        let name = &measured.name;
        let fit = |runs: &Vec<BenchmarkResult>, selector| {
            let analysis = Analysis::min_squares_iqr(runs, selector)
                .with_context(|| format!("failed to fit a line for `{name}`"))?;
            Ok::<_, anyhow::Error>((line(&analysis), analysis.minimum))
        };
        let (time, least_nanoseconds) = fit(&measured.times, BenchmarkSelector::ExtrinsicTime)?;
        let (reads, _) = fit(&measured.counts, BenchmarkSelector::Reads)?;
        let (writes, _) = fit(&measured.counts, BenchmarkSelector::Writes)?;
        let storage = Storage::new(items, &measured.proof_modes);
        let proofs = measured
            .counts
            .iter()
            .map(|run| BenchmarkResult { proof_size: storage.proof_bytes(run), ..run.clone() });
        let (proof, _) = fit(&proofs.collect(), BenchmarkSelector::ProofSize)?;
        Ok(Self {
            name: name.clone(),
            components: measured.components.clone(),
            time,
            least_nanoseconds,
            reads,
            writes,
            proof,
            touched: storage.touched(&measured.counts),
        })
    }
}

fn line(analysis: &Analysis) -> Line {
    let errors = analysis.errors.iter().flatten().copied().chain(std::iter::repeat(0));
    let slopes = analysis.names.iter().zip(&analysis.slopes).zip(errors);
    let slopes = slopes
        .filter(|((_, slope), _)| **slope > 0)
        .map(|((name, slope), error)| (name.clone(), *slope, error));
    Line { base: analysis.base, slopes: slopes.collect() }
}

/// The runtime's storage items, by the prefix of their keys.
struct Storage<'a> {
    items: BTreeMap<&'a [u8], &'a StorageInfo>,
    modes: BTreeMap<&'a str, &'a str>,
}

/// Bytes of hashes in a proof for each layer of the trie: fifteen neighbours of 33 bytes.
const LAYER_BYTES: u32 = 15 * 33;

/// Layers above a pallet's own part of the trie.
const LAYERS_ABOVE: u32 = 2;

/// How many values a map without a bound is taken to have.
const MAP_VALUES: u32 = 1_000_000;

impl<'a> Storage<'a> {
    fn new(items: &'a [StorageInfo], modes: &'a [(String, String)]) -> Self {
        Self {
            items: items.iter().map(|item| (&item.prefix[..], item)).collect(),
            modes: modes.iter().map(|(item, mode)| (item.as_str(), mode.as_str())).collect(),
        }
    }

    fn item(&self, key: &[u8]) -> Option<&'a StorageInfo> {
        self.items.get(key.get(..32).unwrap_or(key)).copied()
    }

    /// How the benchmark wants this item's part of the proof estimated.
    fn mode(&self, item: &StorageInfo) -> Option<&'a str> {
        let pallet = String::from_utf8_lossy(&item.pallet_name);
        let name = format!("{pallet}::{}", String::from_utf8_lossy(&item.storage_name));
        [name.as_str(), &pallet, &format!("{pallet}::ALL"), "ALL::ALL", "ALL"]
            .iter()
            .find_map(|name| self.modes.get(name).copied())
    }

    /// Upper bound of the proof for what a run has read: for each value the most that its type
    /// may be long, or what it was in this run where the type has no bound.
    fn proof_bytes(&self, run: &BenchmarkResult) -> u32 {
        let mut bytes = 0_u32;
        let mut measured = false;
        for (key, reads, _, whitelisted) in &run.keys {
            if *whitelisted || *reads == 0 {
                continue;
            }
            let item = self.item(key);
            let mode = item.and_then(|item| self.mode(item));
            if mode == Some("Ignored") {
                continue;
            }
            let values = item.and_then(|item| item.max_values).unwrap_or(MAP_VALUES);
            let mut each = layers(values) * LAYER_BYTES;
            match item.and_then(|item| item.max_size) {
                Some(size) if mode != Some("Measured") => each = each.saturating_add(size),
                _ => measured = true,
            }
            bytes = bytes
                .saturating_add(each.saturating_mul(*reads))
                .saturating_add(LAYERS_ABOVE * LAYER_BYTES);
        }
        if measured { bytes.saturating_add(run.proof_size) } else { bytes }
    }

    /// One line of text for each item, with the most reads and writes that a run had.
    fn touched(&self, runs: &[BenchmarkResult]) -> Vec<String> {
        let mut most = BTreeMap::<String, (u32, u32)>::new();
        for (key, reads, writes, whitelisted) in runs.iter().flat_map(|run| &run.keys) {
            // A benchmark may also leave out its keys: it returns one without reads and writes.
            if *whitelisted || (*reads, *writes) == (0, 0) {
                continue;
            }
            let name = self.item(key).map_or_else(
                || match std::str::from_utf8(key) {
                    Ok(text) if text.starts_with(':') => format!("`{text}`"),
                    _ => format!("a key that starts with `0x{}`", hex(key.get(..8).unwrap_or(key))),
                },
                |item| {
                    let (pallet, name) = (&item.pallet_name, &item.storage_name);
                    let text = String::from_utf8_lossy;
                    format!("`{}::{}`", text(pallet), text(name))
                },
            );
            let entry = most.entry(name).or_default();
            *entry = (entry.0.max(*reads), entry.1.max(*writes));
        }
        most.into_iter()
            .map(|(name, (reads, writes))| format!("{name}: {reads} read, {writes} written"))
            .collect()
    }
}

/// Layers of a trie with this many values below sixteen-way branches.
fn layers(values: u32) -> u32 {
    let mut layers = 0;
    let mut held = 1_u64;
    while held < u64::from(values) || (layers == 0 && values > 0) {
        held *= 16;
        layers += 1;
    }
    layers
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> StorageInfo {
        StorageInfo {
            pallet_name: b"System".to_vec(),
            storage_name: b"Account".to_vec(),
            prefix: vec![1; 32],
            max_values: None,
            max_size: Some(128),
        }
    }

    fn run(n: u32) -> BenchmarkResult {
        BenchmarkResult {
            components: vec![(frame_benchmarking::BenchmarkParameter::n, n)],
            extrinsic_time: u128::from(1_000 + 10 * n),
            reads: 1 + n,
            writes: 2,
            proof_size: 77,
            keys: vec![([1; 40].to_vec(), n, 1, false), ([2; 40].to_vec(), 9, 9, true)],
            ..Default::default()
        }
    }

    #[test]
    fn a_line_is_found_again() {
        let runs: Vec<_> = (0..10).map(run).collect();
        let measured = Measured {
            name: "call".to_owned(),
            components: vec![("n".to_owned(), 0, 9)],
            proof_modes: vec![],
            times: runs.clone(),
            counts: runs,
        };
        let weight = CallWeight::fit(&measured, &[item()]).expect("enough runs");
        assert_eq!(weight.time.base / 1_000, 1_000, "nanoseconds become picoseconds");
        let slope = &weight.time.slopes[0];
        assert_eq!((slope.0.as_str(), slope.1 / 100), ("n", 100));
        assert_eq!((weight.reads.base, weight.reads.slopes[0].1), (1, 1));
        assert_eq!((weight.writes.base, weight.writes.slopes.len()), (2, 0));
        assert_eq!(weight.touched, ["`System::Account`: 9 read, 1 written"]);
    }

    #[test]
    fn proofs_are_bounded_by_types_or_measured() {
        let (items, none) = ([item()], []);
        let storage = Storage::new(&items, &none);
        // Five layers for a million values, two above, and the value's longest form.
        assert_eq!(storage.proof_bytes(&run(1)), 5 * 495 + 128 + 2 * 495);
        let modes = [("System::Account".to_owned(), "Measured".to_owned())];
        let storage = Storage::new(&items, &modes);
        assert_eq!(storage.proof_bytes(&run(1)), 7 * 495 + 77);
        let modes = [("ALL".to_owned(), "Ignored".to_owned())];
        assert_eq!(Storage::new(&items, &modes).proof_bytes(&run(1)), 0);
    }

    #[test]
    fn layers_of_sixteen() {
        let of = [0, 1, 16, 17, 256, 257, 1_000_000, u32::MAX].map(layers);
        assert_eq!(of, [0, 1, 1, 2, 2, 3, 5, 8]);
    }
}
