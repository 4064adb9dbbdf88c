//! [`Limits`]: how much an image may ask of this machine.

/// Caps on what an image may be, checked before anything is allocated or downloaded for it.
///
/// The defaults take every image that people usually run and still bound what a hostile one costs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Size of a manifest, an index or a configuration.
    pub manifest_bytes_max: u64,
    /// Number of layers. Overlay file systems take 127 of Docker's; some builders make more.
    pub layers_max: usize,
    /// Size of one layer as it is transferred.
    pub blob_bytes_max: u64,
    /// Size of all layers together as they are transferred.
    pub image_bytes_max: u64,
    /// Bytes of all layers together, uncompressed.
    pub unpacked_bytes_max: u64,
    /// Size of one file in a layer.
    pub file_bytes_max: u64,
    /// Entries of all layers together.
    pub entries_max: u64,
    /// Bytes in a path or in a link's target.
    pub path_bytes_max: usize,
    /// Components in a path.
    pub path_depth_max: usize,
    /// Largest owner number (user or group).
    pub owner_id_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            // The distribution specification obliges registries to take manifests of 4 MiB.
            manifest_bytes_max: 4 << 20,
            layers_max: 256,
            blob_bytes_max: 8 * GIB,
            image_bytes_max: 16 * GIB,
            unpacked_bytes_max: 32 * GIB,
            // A ustar header holds sizes up to 8 GiB - 1; bigger files need extensions that
            // readers disagree about.
            file_bytes_max: 8 * GIB - 1,
            entries_max: 1_000_000,
            // PATH_MAX with its final zero.
            path_bytes_max: 4095,
            path_depth_max: 128,
            // The last number that is not "leave as it is" to chown(2).
            owner_id_max: u32::MAX - 1,
        }
    }
}
