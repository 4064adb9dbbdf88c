//! Pulling.

use std::io::Write;

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode, header::ACCEPT};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    RegistryOptions,
    http::{Connection, Scope},
};
use crate::{
    Digest, Error, Image, Limits, Reference, Result, Store,
    image::{Document, check_manifest, nested, parse_document, select_platform},
    spec::{DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Manifest, OCI_INDEX, OCI_MANIFEST},
};

/// Pulls an image for this machine into the store.
///
/// Where the reference is pinned and the store has all of the image, no network is used. Every
/// blob is checked against its digest and size before it gets its name in the store; sizes are
/// checked before anything is downloaded.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::NotFound`], [`Error::Unauthorized`] or [`Error::Registry`]
/// from the registry; [`Error::DigestMismatch`], [`Error::SizeMismatch`] and
/// [`Error::LimitExceeded`] for what it sends.
///
/// # Cancel safety
/// Blobs that are complete stay in the store; a half one is removed.
pub async fn pull(
    store: &Store,
    reference: &Reference,
    options: &RegistryOptions,
    limits: &Limits,
) -> Result<Image> {
    let what = reference.to_string();
    let shared = blocking(store, Store::share).await?;
    if let Some(digest) = reference.digest() {
        let (digest, limits) = (*digest, limits.clone());
        // A stored manifest that is damaged was removed by reading it: fetch it again.
        match blocking(store, move |store| Image::from_store(store, &digest, &limits)).await {
            Ok(Some(image)) => return Ok(image),
            Ok(None) | Err(Error::DigestMismatch { .. } | Error::MissingBlob(_)) => {}
            Err(err) => return Err(err),
        }
    }
    let connection = Connection::new(reference, options, Scope::Pull)?;
    let (mut digest, bytes) = manifest(&connection, reference, limits).await?;
    let manifest: Manifest = match parse_document(&bytes, &what)? {
        Document::Manifest(manifest) => {
            blocking(store, move |store| store.put(&bytes)).await?;
            manifest
        }
        Document::Index(index) => {
            let entry = select_platform(&index, &what)?;
            digest = entry.digest;
            let found = manifest_of_index(&connection, &what, entry, limits).await?;
            let Document::Manifest(manifest) = parse_document(&found, &what)? else {
                return Err(nested(&what));
            };
            // The index last: with it, a pinned image is looked for in the store alone.
            blocking(store, move |store| store.put(&found).and_then(|_| store.put(&bytes))).await?;
            manifest
        }
    };
    check_manifest(&manifest, limits, &what)?;
    // Owned: with borrowed ones the compiler does not see that the future is `Send`.
    let blobs = manifest.layers.iter().chain([&manifest.config]).cloned().collect::<Vec<_>>();
    let (connection, part_of) = (&connection, what.as_str());
    stream::iter(blobs)
        .map(|blob| async move { fetch(store, connection, part_of, &blob).await })
        .buffer_unordered(options.parallel_max.max(1))
        .try_collect::<()>()
        .await?;
    let limits = limits.clone();
    let image =
        blocking(store, move |store| Image::assemble(store, digest, &manifest, &limits, &what))
            .await?;
    drop(shared);
    Ok(image)
}

/// Digest of what a tag names now: of the index where there is one, so that a pinned image still
/// runs on every platform it was made for.
pub async fn resolve(reference: &Reference, options: &RegistryOptions) -> Result<Digest> {
    let connection = Connection::new(reference, options, Scope::Pull)?;
    Ok(manifest(&connection, reference, &Limits::default()).await?.0)
}

/// The manifest or index of a reference, checked against its digest.
async fn manifest(
    connection: &Connection,
    reference: &Reference,
    limits: &Limits,
) -> Result<(Digest, Vec<u8>)> {
    let what = reference.to_string();
    let name = match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag_or_latest().to_owned(),
    };
    let (claimed, bytes) = get_manifest(connection, &what, &name, limits).await?;
    let actual = Digest::of(&bytes);
    // The header protects against an accident only: a lying registry would lie in both.
    if let Some(expected) = reference.digest().copied().or(claimed)
        && expected != actual
    {
        return Err(Error::DigestMismatch {
            what: format!("manifest of {what}"),
            expected,
            actual,
        });
    }
    Ok((actual, bytes))
}

async fn manifest_of_index(
    connection: &Connection,
    what: &str,
    entry: &Descriptor,
    limits: &Limits,
) -> Result<Vec<u8>> {
    let name = entry.digest.to_string();
    let (_, bytes) = get_manifest(connection, what, &name, limits).await?;
    let part = || format!("manifest {name} of {what}");
    if bytes.len() as u64 != entry.size {
        let actual = bytes.len() as u64;
        return Err(Error::SizeMismatch { what: part(), expected: entry.size, actual });
    }
    let actual = Digest::of(&bytes);
    if actual != entry.digest {
        return Err(Error::DigestMismatch { what: part(), expected: entry.digest, actual });
    }
    Ok(bytes)
}

async fn get_manifest(
    connection: &Connection,
    what: &str,
    name: &str,
    limits: &Limits,
) -> Result<(Option<Digest>, Vec<u8>)> {
    let url = connection.url(&format!("manifests/{name}"))?;
    let accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST].join(", ");
    let response = connection
        .send(what, Method::GET, &url, |request| Ok(request.header(ACCEPT, &accept)))
        .await?;
    if response.status() != StatusCode::OK {
        return Err(connection.refused(what, response).await);
    }
    let claimed = response
        .headers()
        .get("docker-content-digest")
        .and_then(|value| value.to_str().ok())
        // Another algorithm is no claim that we could check.
        .and_then(|text| text.parse().ok());
    Ok((claimed, connection.body(what, response, limits.manifest_bytes_max).await?))
}

/// Fetches a blob unless the store has it; an interrupted transfer is tried again.
async fn fetch(
    store: &Store,
    connection: &Connection,
    what: &str,
    blob: &Descriptor,
) -> Result<()> {
    let (digest, size) = (blob.digest, blob.size);
    if blocking(store, move |store| store.has_sized(&digest, size)).await? {
        return Ok(());
    }
    let part = format!("blob {digest} of {what}");
    let mut attempt = 1;
    loop {
        let transfer = transfer(store, connection, &part, blob);
        let result = match tokio::time::timeout(connection.blob_timeout(), transfer).await {
            Ok(result) => result,
            Err(elapsed) => Err(Error::Unreachable {
                registry: connection.registry.clone(),
                what: part.clone(),
                source: Box::new(elapsed),
            }),
        };
        match result {
            Err(err @ Error::Unreachable { .. }) if attempt < ATTEMPTS_MAX => {
                tracing::warn!(blob = %digest, attempt, %err, "transfer interrupted, trying again");
                attempt += 1;
            }
            other => return other,
        }
    }
}

/// Streams a blob to disk: packets go through a short queue to a thread that hashes and writes.
async fn transfer(
    store: &Store,
    connection: &Connection,
    part: &str,
    blob: &Descriptor,
) -> Result<()> {
    let url = connection.url(&format!("blobs/{}", blob.digest))?;
    let mut response = connection.send(part, Method::GET, &url, Ok).await?;
    if response.status() != StatusCode::OK {
        return Err(connection.refused(part, response).await);
    }
    let mismatch =
        |actual| Error::SizeMismatch { what: part.to_owned(), expected: blob.size, actual };
    if let Some(length) = response.content_length()
        && length != blob.size
    {
        return Err(mismatch(length));
    }
    let (packets, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE_PACKETS);
    let (digest, size, name) = (blob.digest, blob.size, part.to_owned());
    let writing = {
        let store = store.clone();
        spawn_blocking(move || {
            let mut writer = store.writer(size)?;
            while let Some(packet) = queue.blocking_recv() {
                if packet.is_empty() {
                    return writer.commit(&name, &digest, size);
                }
                writer.write_all(&packet).map_err(|err| writer.error(err))?;
            }
            // The sender is gone without the empty packet that ends a blob: no commit.
            Err(Error::Interrupted("a transfer"))
        })
    };
    let mut received = 0_u64;
    while let Some(chunk) =
        response.chunk().await.map_err(|err| connection.unreachable(part, err))?
    {
        received += chunk.len() as u64;
        if received > blob.size {
            return Err(mismatch(received));
        }
        if !chunk.is_empty() && packets.send(chunk.into()).await.is_err() {
            // The writer failed; it says why.
            break;
        }
    }
    let _ = packets.send(Vec::new()).await;
    writing.await.map_err(|_| Error::Interrupted("writing a blob"))?
}

/// Runs work on the store where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = store.clone();
    spawn_blocking(move || work(&store))
        .await
        .map_err(|_| Error::Interrupted("work on the image store"))?
}

const ATTEMPTS_MAX: u32 = 3;
/// Packets have at most 64 KiB or so: a slow disk holds about 1 MiB per blob.
const QUEUE_PACKETS: usize = 16;
