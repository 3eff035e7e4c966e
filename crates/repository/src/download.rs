//! The chosen packages into the cache: several at a time, resumed where they break off, verified by size and digest.

use crate::{
    Archive, Chosen, Error, Event, Format, Resolution, Session, apk,
    limits::{DOWNLOADS_AT_ONCE, PACKAGE_BYTES_MAX},
    section::Section,
};
use fetch::client::{HeaderName, HeaderValue, Opener, Request, Url, resumable, shown};
use futures_util::{StreamExt, TryStreamExt, stream};
use oci::{Digest, Hasher};
use std::{io, sync::Arc};
use store::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// The name of a file while it is written.
const PART: &str = "package";

/// The packages of a resolution as verified files, in its order. What the cache holds is not asked for again.
pub async fn download(resolution: &Resolution, session: &Session<'_>) -> Result<Vec<Archive>, Error> {
    let each = resolution.packages.iter().map(|chosen| get(chosen, session));
    session.unless_cancelled(stream::iter(each).buffered(DOWNLOADS_AT_ONCE).try_collect()).await
}

async fn get(chosen: &Chosen, session: &Session<'_>) -> Result<Archive, Error> {
    if chosen.size > PACKAGE_BYTES_MAX {
        return Err(Error::Limit(format!("{} has {} bytes", chosen.name, chosen.size)));
    }
    if let Some(file) = cached(chosen, session).await? {
        tell(chosen, session, chosen.size);
        return verified(chosen, file, session).await;
    }
    let mut last = None;
    for url in &chosen.urls {
        match fetch(chosen, url, session).await {
            Ok(()) => {
                let file = cached(chosen, session).await?;
                let file = file.ok_or(Error::Internal("a package went away from the cache"))?;
                return verified(chosen, file, session).await;
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::Missing { url: chosen.name.to_string() }))
}

/// The package, where its own signature is as it must be, if its form has one.
async fn verified(chosen: &Chosen, file: Section, session: &Session<'_>) -> Result<Archive, Error> {
    let mut archive = Archive::new(chosen.clone(), file.clone());
    let Format::Rpm(provenance) = &chosen.format else { return Ok(archive) };
    let (signers, now) = (provenance.signers.clone(), session.now);
    let item = inventory::printable(&format!("{} {}", chosen.name, chosen.version));
    session.blocking(move || crate::rpm::open::check(&file, &signers, &item, now)).await?;
    archive.replaced = provenance.replaced_header(session).await;
    Ok(archive)
}

async fn cached(chosen: &Chosen, session: &Session<'_>) -> Result<Option<Section>, Error> {
    let (store, chosen) = (session.store.clone(), chosen.clone());
    let find = move || {
        let is_apk = chosen.format == Format::Apk;
        let digest = if is_apk { apk::known(&store, &chosen) } else { Some(chosen.digest.clone()) };
        let blob = digest.map(|digest| store.blob(&digest)).transpose()?.flatten();
        let blob = blob.filter(|blob| blob.size == chosen.size);
        let file = blob.map(|blob| Section::whole(Arc::new(blob.file), chosen.size));
        Ok(file.filter(|file| !is_apk || apk::check(&chosen, file).is_ok()))
    };
    session.blocking(find).await
}

async fn fetch(chosen: &Chosen, url: &Url, session: &Session<'_>) -> Result<(), Error> {
    let temp = session.store.temp_dir()?;
    let digest = write(chosen, url, session, &temp).await?;
    if chosen.format == Format::Apk {
        return keep_apk(chosen, url, session, temp, digest).await;
    }
    if digest != chosen.digest {
        let why = format!("digest {digest} where {} is expected", chosen.digest);
        return Err(Error::Mismatch { url: shown(url), why });
    }
    let store = session.store.clone();
    session.blocking(move || Ok(store.put_blob_file(&temp, PART, &digest)?)).await
}

/// Keeps a file of which the index has no digest, once it is seen to be the package.
async fn keep_apk(
    chosen: &Chosen,
    url: &Url,
    session: &Session<'_>,
    temp: TempDir,
    digest: Digest,
) -> Result<(), Error> {
    let (store, chosen, at) = (session.store.clone(), chosen.clone(), shown(url));
    let keep = move || {
        let path = temp.path().join(PART);
        let doing = || format!("reading {}", path.display());
        let file = std::fs::File::open(&path).map_err(|e| Error::io(doing(), e))?;
        let checked = apk::check(&chosen, &Section::whole(Arc::new(file), chosen.size));
        checked.map_err(|error| match error {
            Error::Mismatch { why, .. } => Error::Mismatch { url: at, why },
            other => other,
        })?;
        store.put_blob_file(&temp, PART, &digest)?;
        apk::keep(&store, &chosen, &digest)
    };
    session.blocking(keep).await
}

/// Writes the file and gives the digest of what was written, which has the expected size.
async fn write(chosen: &Chosen, url: &Url, session: &Session<'_>, temp: &TempDir) -> Result<Digest, Error> {
    let path = temp.path().join(PART);
    let doing = || format!("writing {}", path.display());
    let mut file = tokio::fs::File::create_new(&path).await.map_err(|e| Error::io(doing(), e))?;
    let mut reader = resumable(opener(url, session), chosen.size, session.client.options());
    let (mut hasher, mut done, mut buffer) = (Hasher::default(), 0, vec![0; BUFFER_BYTES]);
    loop {
        let count = reader.read(&mut buffer).await.map_err(|e| of_transfer(e, url))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).await.map_err(|e| Error::io(doing(), e))?;
        done += count as u64;
        tell(chosen, session, done);
    }
    file.flush().await.map_err(|e| Error::io(doing(), e))?;
    Ok(hasher.finish())
}

fn opener(url: &Url, session: &Session<'_>) -> Opener {
    let (client, reach, url) = (session.client.clone(), session.reach(url), url.clone());
    Arc::new(move |at| {
        let mut request = Request::get(url.clone()).reach(reach);
        if at > 0 {
            let rest = HeaderValue::try_from(format!("bytes={at}-")).map_err(io::Error::other);
            match rest {
                Ok(rest) => request = request.header(HeaderName::from_static("range"), rest),
                Err(error) => return Box::pin(async { Err(error) }),
            }
        }
        let client = client.clone();
        Box::pin(async move { client.send(request).await.map_err(io::Error::other) })
    })
}

/// The client's own error out of the reader's, a wrong length as what it means here.
fn of_transfer(error: io::Error, url: &Url) -> Error {
    use fetch::client::Error as Client;
    match error.downcast::<Client>() {
        Ok(Client::Length { declared, expected, .. }) => {
            let why = format!("{declared} bytes where {expected} are expected");
            Error::Mismatch { url: shown(url), why }
        }
        Ok(Client::TooLarge { max, .. }) => {
            Error::Mismatch { url: shown(url), why: format!("more than {max} bytes") }
        }
        Ok(other) => Error::Fetch(other),
        Err(source) => Error::io(format!("reading {}", shown(url)), source),
    }
}

fn tell(chosen: &Chosen, session: &Session<'_>, done: u64) {
    (session.events)(Event::Package { name: chosen.name.clone(), done, total: chosen.size });
}
