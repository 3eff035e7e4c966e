//! Objects kept on disk, shared by all runs: one file each, whole or not there, checked against its hash when used.
//!
//! A file is the content, then a line of JSON about it, then the length of that JSON and a mark. Whoever downloads an
//! object holds a lock on its part file; a process that dies gives the lock back and leaves a part that the next one
//! overwrites. All functions here block.

use super::Error;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Ends every whole object.
const MARK: &[u8; 8] = b"copahttp";
/// Length of the JSON and the mark.
const TAIL_BYTES: u64 = 4 + MARK.len() as u64;
/// Longest JSON: a URL of [`super::HEAD_BYTES_MAX`] and three header values.
const META_BYTES_MAX: u64 = 128 << 10;
/// A part this old belongs to nobody who is still at work.
const PART_AGE_MAX: Duration = Duration::from_secs(3600);
/// Eviction goes down to this share, so that it is not due again at once.
const KEEP_PERCENT: u64 = 90;

/// Where and how much to keep.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// A folder of our own, made when missing, closed to other users.
    pub dir: PathBuf,
    /// How long the signed head of an index is used without asking again.
    pub fresh: Duration,
    /// Largest object that is kept.
    pub object_bytes_max: u64,
    /// Size of all objects at which those unused for longest go.
    pub bytes_max: u64,
}

impl CacheOptions {
    /// The usual bounds, in this folder.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        CacheOptions {
            dir: dir.into(),
            // As long as a run over many images takes to get through its refreshes; mirrors change every few hours.
            fresh: Duration::from_secs(60),
            // The largest packages of Debian have a little over 1 GB.
            object_bytes_max: 2 << 30,
            bytes_max: 8 << 30,
        }
    }
}

/// The name of an object in the cache: the hash of its URL, safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn of(url: &str) -> Key {
        Key(hex(&Sha256::digest(url)))
    }
}

/// Bytes in lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).filter_map(|d| char::from_digit(d.into(), 16)).collect()
}

/// What is known about an object beside its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) url: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) content_type: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// A whole object, checked, at the beginning of its content.
pub(super) struct Stored {
    pub(super) meta: Meta,
    pub(super) file: File,
    /// Since it was stored or last found right; endless when the clock went back.
    pub(super) age: Duration,
}

impl Stored {
    /// Notes that it is still right, or still used.
    pub(super) fn touch(&self) {
        // A file system that does not let us only makes the object older than it is.
        self.file.set_modified(SystemTime::now()).ok();
    }
}

/// The cache as one run sees it.
pub(super) struct Cache {
    options: CacheOptions,
    used: AtomicU64,
    broken: AtomicBool,
    given: Mutex<HashSet<Key>>,
}

impl Cache {
    /// Opens the folder, after making sure that nobody else can write there, and brings it below its bound.
    pub(super) fn open(options: CacheOptions) -> Result<Cache, Error> {
        let dir = &options.dir;
        let fault = |source| Error::Cache { path: dir.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fault)?;
        let found = fs::symlink_metadata(dir).map_err(fault)?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(Error::CacheOwner { path: dir.clone() });
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(fault)?;
        }
        let used = evict(dir, options.bytes_max).map_err(fault)?;
        Ok(Cache {
            used: AtomicU64::new(used),
            options,
            broken: AtomicBool::new(false),
            given: Mutex::default(),
        })
    }

    pub(super) fn options(&self) -> &CacheOptions {
        &self.options
    }

    /// Whether writing has failed: then the rest of the run goes on without keeping anything.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Notes that this run was given an object; false when it had been given it before.
    pub(super) fn give(&self, key: &Key) -> bool {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone())
    }

    pub(super) fn was_given(&self, key: &Key) -> bool {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// Removes every object that this run was given.
    pub(super) fn forget_given(&self) {
        for key in self.given.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            fs::remove_file(self.path(&key)).ok();
        }
    }

    /// The object, if it is there and whole. What is damaged is removed and counts as absent.
    pub(super) fn find(&self, key: &Key, url: &str) -> Option<Stored> {
        let path = self.path(key);
        match read_object(&path) {
            Ok(stored) if stored.meta.url == url => Some(stored),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            _ => {
                fs::remove_file(&path).ok();
                None
            }
        }
    }

    /// The right to download an object, unless somebody else has it now.
    pub(super) fn claim(&self, key: &Key) -> io::Result<Option<Part>> {
        let path = self.options.dir.join(format!("{}.part", key.0));
        let file = no_follow().read(true).write(true).create(true).mode(0o600).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // The one who held the lock may have renamed or removed this very file since we opened it.
        let current = fs::symlink_metadata(&path).ok().map(|m| (m.dev(), m.ino()));
        let ours = file.metadata().map(|m| (m.dev(), m.ino()))?;
        if current != Some(ours) {
            return Ok(None);
        }
        file.set_len(0)?;
        Ok(Some(Part { path, whole: self.path(key), file, kept: false }))
    }

    /// Counts a new object, and makes room when the bound is passed.
    pub(super) fn grown(&self, bytes: u64) {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.options.bytes_max {
            return;
        }
        if let Ok(left) = evict(&self.options.dir, self.options.bytes_max) {
            self.used.store(left, Ordering::Relaxed);
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.options.dir.join(&key.0)
    }
}

/// An object in the making. Dropped without [`Part::keep`] it leaves nothing.
pub(super) struct Part {
    path: PathBuf,
    whole: PathBuf,
    file: File,
    kept: bool,
}

impl Part {
    /// Another handle to write with.
    pub(super) fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// A handle with its own position to read what has been written.
    pub(super) fn reader(&self) -> io::Result<File> {
        no_follow().read(true).open(&self.path)
    }

    /// Completes the object and makes it appear in one step.
    pub(super) fn keep(mut self, meta: &Meta) -> io::Result<()> {
        let json = serde_json::to_vec(meta)?;
        let length = u32::try_from(json.len()).map_err(io::Error::other)?;
        self.file.seek(SeekFrom::Start(meta.bytes))?;
        self.file.write_all(&json)?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(MARK)?;
        // Not synced: a file that a power cut leaves short or empty fails its check and is fetched again.
        fs::rename(&self.path, &self.whole)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Opens no link in the last component: whoever can put one there must not choose what we read or overwrite.
fn no_follow() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn read_object(path: &Path) -> io::Result<Stored> {
    let mut file = no_follow().read(true).open(path)?;
    let found = file.metadata()?;
    let age = found.modified()?.elapsed().unwrap_or(Duration::MAX);
    if !found.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let meta = read_meta(&mut file, found.len())?;
    file.rewind()?;
    let mut hasher = Hashing(Sha256::new());
    io::copy(&mut (&mut file).take(meta.bytes), &mut hasher)?;
    if hex(&hasher.0.finalize()) != meta.sha256 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    file.rewind()?;
    Ok(Stored { meta, file, age })
}

fn read_meta(file: &mut File, length: u64) -> io::Result<Meta> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut tail = [0; TAIL_BYTES as usize];
    file.seek(SeekFrom::Start(length.checked_sub(TAIL_BYTES).ok_or_else(bad)?))?;
    file.read_exact(&mut tail)?;
    let (size, mark) = tail.split_at(4);
    let json_bytes = u64::from(u32::from_le_bytes(size.try_into().map_err(|_| bad())?));
    if mark != MARK || json_bytes > META_BYTES_MAX {
        return Err(bad());
    }
    let begin = length.checked_sub(TAIL_BYTES + json_bytes).ok_or_else(bad)?;
    let mut json = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    file.take(json_bytes).read_to_end(&mut json)?;
    let meta: Meta = serde_json::from_slice(&json)?;
    if meta.bytes == begin { Ok(meta) } else { Err(bad()) }
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes left-over parts, and what was unused for longest if all objects together pass the bound. What is left, in bytes.
fn evict(dir: &Path, bytes_max: u64) -> io::Result<u64> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // Another run may remove what we have just listed.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        let age = found.modified()?.elapsed().unwrap_or_default();
        if path.extension().is_some_and(|e| e == "part") {
            remove_left_over(&path, age);
        } else if found.is_file() {
            objects.push((age, found.len(), path));
        }
    }
    objects.sort();
    let total: u64 = objects.iter().map(|(_, bytes, _)| bytes).sum();
    if total <= bytes_max {
        return Ok(total);
    }
    Ok(remove_oldest(objects, total, bytes_max / 100 * KEEP_PERCENT))
}

/// Removes from the end, where the oldest are, until no more than `aim` bytes are left.
fn remove_oldest(mut objects: Vec<(Duration, u64, PathBuf)>, mut total: u64, aim: u64) -> u64 {
    while total > aim {
        let Some((_, bytes, path)) = objects.pop() else { break };
        if fs::remove_file(&path).is_ok() {
            total -= bytes;
        }
    }
    total
}

fn remove_left_over(path: &Path, age: Duration) {
    let Ok(file) = no_follow().read(true).open(path) else { return };
    if age > PART_AGE_MAX && file.try_lock().is_ok() {
        fs::remove_file(path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://h/pool/a.deb";

    fn cache(dir: &Path, bytes_max: u64) -> Cache {
        Cache::open(CacheOptions { bytes_max, ..CacheOptions::in_dir(dir.join("http")) }).unwrap()
    }

    fn put(cache: &Cache, url: &str, content: &[u8]) {
        let part = cache.claim(&Key::of(url)).unwrap().unwrap();
        part.writer().unwrap().write_all(content).unwrap();
        let meta = Meta {
            url: url.into(),
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
            content_type: None,
            etag: Some("\"1\"".into()),
            last_modified: None,
        };
        part.keep(&meta).unwrap();
        cache.grown(content.len() as u64);
    }

    #[test]
    fn an_object_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1 << 20);
        assert!(cache.find(&Key::of(URL), URL).is_none());
        put(&cache, URL, b"content");
        let mut stored = cache.find(&Key::of(URL), URL).unwrap();
        let mut content = Vec::new();
        (&mut stored.file).take(stored.meta.bytes).read_to_end(&mut content).unwrap();
        assert_eq!((content.as_slice(), stored.meta.etag.as_deref()), (&b"content"[..], Some("\"1\"")));
        assert!(stored.age < Duration::from_secs(60));
        assert_eq!(fs::metadata(dir.path().join("http")).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_damaged_object_is_absent_and_gone() {
        type Damage = fn(&Path);
        let damages: [Damage; 5] = [
            |p| fs::write(p, b"").unwrap(),
            |p| OpenOptions::new().write(true).open(p).unwrap().set_len(20).unwrap(),
            |p| OpenOptions::new().write(true).open(p).unwrap().write_all(b"C").unwrap(),
            |p| OpenOptions::new().append(true).open(p).unwrap().write_all(b"x").unwrap(),
            |p| {
                let away = p.with_extension("away");
                fs::rename(p, &away).unwrap();
                std::os::unix::fs::symlink(away, p).unwrap();
            },
        ];
        for damage in damages {
            let dir = tempfile::tempdir().unwrap();
            let cache = cache(dir.path(), 1 << 20);
            put(&cache, URL, b"content");
            damage(&cache.path(&Key::of(URL)));
            assert!(cache.find(&Key::of(URL), URL).is_none());
            assert!(fs::symlink_metadata(cache.path(&Key::of(URL))).is_err());
        }
    }

    #[test]
    fn an_object_of_another_url_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1 << 20);
        put(&cache, URL, b"content");
        fs::rename(cache.path(&Key::of(URL)), cache.path(&Key::of("http://h/other"))).unwrap();
        assert!(cache.find(&Key::of("http://h/other"), "http://h/other").is_none());
    }

    #[test]
    fn one_downloads_and_the_others_wait() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (cache(dir.path(), 1 << 20), cache(dir.path(), 1 << 20));
        let part = one.claim(&Key::of(URL)).unwrap().unwrap();
        assert!(two.claim(&Key::of(URL)).unwrap().is_none());
        assert!(two.claim(&Key::of("http://h/other")).unwrap().is_some());
        drop(part);
        assert!(two.claim(&Key::of(URL)).unwrap().is_some());
        assert_eq!(fs::read_dir(dir.path().join("http")).unwrap().count(), 0);
    }

    #[test]
    fn the_bound_holds_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 10_000);
        for n in 0..5u64 {
            let url = format!("http://h/{n}");
            put(&cache, &url, &[0; 1000]);
            let stored = cache.find(&Key::of(&url), &url).unwrap();
            stored.file.set_modified(SystemTime::now() - Duration::from_secs(100 - n)).unwrap();
        }
        put(&cache, "http://h/big", &[0; 6000]);
        let there = |url: &str| cache.find(&Key::of(url), url).is_some();
        assert!(!there("http://h/0") && !there("http://h/1"));
        assert!(there("http://h/4") && there("http://h/big"));
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        let opened = Cache::open(CacheOptions::in_dir(dir.path().join("link")));
        assert!(matches!(opened, Err(Error::CacheOwner { .. })));
    }

    #[test]
    fn what_a_run_was_given_can_be_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1 << 20);
        put(&cache, URL, b"bad");
        put(&cache, "http://h/other", b"good");
        assert!(cache.give(&Key::of(URL)) && !cache.give(&Key::of(URL)) && cache.was_given(&Key::of(URL)));
        cache.forget_given();
        assert!(cache.find(&Key::of(URL), URL).is_none());
        assert!(cache.find(&Key::of("http://h/other"), "http://h/other").is_some());
    }
}
