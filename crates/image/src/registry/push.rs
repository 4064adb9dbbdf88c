//! Pushing.

use futures::stream;
use reqwest::{
    Body, Method, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
};
use tokio::io::AsyncReadExt;

use super::{
    RegistryOptions,
    http::{Connection, Scope},
    pull::blocking,
};
use crate::{
    Digest, Error, Image, Limits, Reference, Result, Store,
    image::{Document, parse_document},
    spec::OCI_MANIFEST,
};

/// Pushes an image to a registry under the reference's tag (`latest` where it has none); returns
/// the digest of the manifest.
///
/// Blobs that the registry has are not sent again.
///
/// # Errors
/// As for [`pull`](super::pull()); [`Error::DigestMismatch`] also where the reference is pinned to
/// another digest.
pub async fn push(
    store: &Store,
    image: &Image,
    reference: &Reference,
    options: &RegistryOptions,
) -> Result<Digest> {
    let what = reference.to_string();
    let digest = image.manifest_digest;
    let mismatch = |actual| Error::DigestMismatch { what: what.clone(), expected: digest, actual };
    if let Some(pinned) = reference.digest()
        && *pinned != digest
    {
        return Err(Error::DigestMismatch { what, expected: *pinned, actual: digest });
    }
    let shared = blocking(store, Store::share).await?;
    let connection = Connection::new(reference, options, Scope::PullAndPush)?;
    let bytes_max = Limits::default().manifest_bytes_max;
    let bytes = blocking(store, move |store| store.read(&digest, bytes_max)).await?;
    let Document::Manifest(manifest) = parse_document(&bytes, &what)? else {
        return Err(crate::image::nested(&what));
    };
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        push_blob(store, &connection, &what, &blob.digest, blob.size).await?;
    }
    let name = match (reference.tag(), reference.digest()) {
        (None, Some(digest)) => digest.to_string(),
        _ => reference.tag_or_latest().to_owned(),
    };
    let url = connection.url(&format!("manifests/{name}"))?;
    let media_type = manifest.media_type.as_deref().unwrap_or(OCI_MANIFEST);
    let response = connection
        .send(&what, Method::PUT, &url, |request| {
            Ok(request.header(CONTENT_TYPE, media_type).body(bytes.clone()))
        })
        .await?;
    if !response.status().is_success() {
        return Err(connection.refused(&what, response).await);
    }
    let stored = response
        .headers()
        .get("docker-content-digest")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    drop(shared);
    match stored {
        Some(stored) if stored != digest => Err(mismatch(stored)),
        _ => Ok(digest),
    }
}

async fn push_blob(
    store: &Store,
    connection: &Connection,
    what: &str,
    digest: &Digest,
    size: u64,
) -> Result<()> {
    let part = format!("blob {digest} of {what}");
    let url = connection.url(&format!("blobs/{digest}"))?;
    let response = connection.send(&part, Method::HEAD, &url, Ok).await?;
    match response.status() {
        StatusCode::OK => return Ok(()),
        StatusCode::NOT_FOUND => {}
        _ => return Err(connection.refused(&part, response).await),
    }
    let start = connection.url("blobs/uploads/")?;
    let response = connection
        .send(&part, Method::POST, &start, |request| Ok(request.header(CONTENT_LENGTH, 0)))
        .await?;
    if response.status() != StatusCode::ACCEPTED {
        return Err(connection.refused(&part, response).await);
    }
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| connection.failed(&part, "it gave no place to upload to".to_owned()))?;
    let mut upload: Url = connection.join(&start, location)?;
    upload.query_pairs_mut().append_pair("digest", &digest.to_string());
    // Opened for each attempt: a token may end between the start and the upload.
    let response = connection
        .send(&part, Method::PUT, &upload, |request| {
            let file = tokio::fs::File::from_std(store.open_blob(digest, size)?);
            Ok(request
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, size)
                .body(Body::wrap_stream(packets(file))))
        })
        .await?;
    if response.status() != StatusCode::CREATED {
        return Err(connection.refused(&part, response).await);
    }
    Ok(())
}

fn packets(
    file: tokio::fs::File,
) -> impl futures::Stream<Item = std::io::Result<Vec<u8>>> + Send + 'static {
    stream::try_unfold(file, |mut file| async move {
        let mut packet = vec![0; PACKET_BYTES];
        let n = file.read(&mut packet).await?;
        packet.truncate(n);
        Ok((n > 0).then_some((packet, file)))
    })
}

const PACKET_BYTES: usize = 1 << 16;
