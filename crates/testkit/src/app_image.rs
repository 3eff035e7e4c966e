//! A hard image: four layers on a real Debian, with everything that layers may hold: removals, opaque directories, things
//! that change their kind, hardlinks, setuid, capabilities, pipes, names that are long or not ASCII.

use crate::debian_root::{self, Suite, TAG};
use crate::image::{Image, Layer, Layout};
use crate::tar::{self, Entry, Kind, Reader};
use crate::{Error, tree, workspace};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// What its second layer adds: a web server with all that it needs, a ping with capabilities, an interpreter.
const PACKAGES: &[&str] =
    &["ca-certificates", "curl", "iputils-ping", "libcap2-bin", "nginx-light", "openssl", "python3"];

/// Files of an application, hard to keep as they are.
const FILES: &str = "
dir     srv/app
dir     srv/app/bin
dir     srv/app/data             uid=1000 gid=1000
file    srv/app/data/a           uid=1000 gid=1000 text=hello\\n
link    srv/app/data/b           to=srv/app/data/a
link    srv/app/c-hardlink       to=srv/app/data/a
file    srv/app/bin/setuid-tool  mode=4755 size=5000
file    srv/app/bin/setgid-tool  mode=2755 size=5000
file    srv/app/bin/capable-tool mode=755  size=5000 xattr.security.capability=0100000200240000000000000000000000000000
dir     srv/app/sticky           mode=1777
dir     srv/app/private          mode=700
file    srv/app/private/key      mode=600 text=x
symlink srv/app/bin/relative     to=../data/a
symlink srv/app/bin/absolute     to=/etc/passwd
symlink srv/app/bin/dangling     to=nowhere
file    srv/app/grüß-日本.txt     text=u
file    srv/app/empty
file    srv/app/old              mtime=157863845 ns=678901234
fifo    srv/app/pipe
file    etc/nginx/conf.d/app.conf text=server_tokens\\soff;\\n
dir     opt/opaque
file    opt/opaque/1             text=1
file    opt/opaque/2             text=2
dir     opt/gone
file    opt/gone/f               text=1
dir     opt/directory-to-link
file    opt/directory-to-link/f  text=1
file    opt/file-to-directory    text=1
";

/// What is taken away from them and from Debian's own files, and what takes another kind.
const REMOVALS: &str = "
gone    usr/share/common-licenses/GPL-1
gone    usr/share/doc/openssl
gone    opt/gone
dir     opt/opaque
opaque  opt/opaque
file    opt/opaque/new              text=new
symlink opt/directory-to-link       to=/srv/app
dir     opt/file-to-directory
file    opt/file-to-directory/in    text=in
gone    srv/app/data/b
dir     srv/app/private             mode=755
";

/// A layout that holds the hard image of `suite` as [`TAG`]; made if it is not there yet.
pub fn image(suite: Suite) -> Result<Layout, Error> {
    let directory = workspace::cache().join("layouts").join(format!("app-{}", suite.name()));
    workspace::once(&directory, |unfinished| {
        let base = debian_root::root(suite, &[])?;
        let added = additions(&base, &debian_root::root(suite, PACKAGES)?)?;
        let texts = [FILES.to_owned() + &long_names(), REMOVALS.to_owned()];
        let mut layers = vec![Layer::File(base), Layer::Tar(tar::write(&added))];
        layers.extend(texts.iter().map(|text| Layer::text(text)));
        Layout::create(unfinished)?
            .add(TAG, &Image { config: configuration(), ..Image::new(layers) })
            .map(drop)
    })?;
    Layout::open(&directory)
}

fn long_names() -> String {
    let name = "d".repeat(60);
    let folder = format!("srv/app/{name}/{name}");
    format!("dir srv/app/{name}\ndir {folder}\nfile {folder}/{name}.txt text=long\n")
}

fn configuration() -> serde_json::Value {
    json!({
        "User": "www-data", "ExposedPorts": { "80/tcp": {} },
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "APP_HOME=/srv/app"],
        "Entrypoint": ["/usr/sbin/nginx"], "Cmd": ["-g", "daemon off;"], "Volumes": { "/srv/app/data": {} },
        "WorkingDir": "/srv/app", "StopSignal": "SIGQUIT",
        "Labels": { "org.opencontainers.image.title": "app", "org.opencontainers.image.created": tree::EPOCH_TEXT },
    })
}

/// The entries of `whole` that `base` does not have, and removals of what only `base` has: the layer between two roots.
fn additions(base: &Path, whole: &Path) -> Result<Vec<Entry>, Error> {
    let (base, whole) = (entries(base)?, entries(whole)?);
    let gone = base.keys().filter(|path| !whole.contains_key(*path)).map(|path| tree::whiteout(path));
    let mut layer: Vec<Entry> = gone.collect();
    layer.extend(
        whole.iter().filter(|(path, entry)| base.get(*path) != Some(entry)).map(|(_, entry)| entry.clone()),
    );
    Ok(layer.into_iter().map(|entry| apart(entry, &base)).collect())
}

/// A hardlink in a layer must not lead to another layer: where its target is as it was in the base, it links in vain.
fn apart(mut entry: Entry, base: &BTreeMap<Vec<u8>, Entry>) -> Entry {
    if let Kind::Hardlink(target) = &entry.kind
        && let Some(Entry { kind: Kind::File(content), .. }) = base.get(target)
    {
        entry.kind = Kind::File(content.clone());
    }
    entry
}

fn entries(tar: &Path) -> Result<BTreeMap<Vec<u8>, Entry>, Error> {
    let file = File::open(tar).map_err(Error::io(tar))?;
    let entries = Reader::new(BufReader::new(file)).collect()?;
    Ok(entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::argv, image_reader::ImageReader, probe, scan, skip};

    #[test]
    fn the_texts_are_layers_that_umoci_unpacks() {
        if let Err(reason) = probe::first_reason([probe::root(), probe::programs(&["umoci"])]) {
            skip!("{reason}");
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(&dir.path().join("layout")).unwrap();
        let layers = [FILES.to_owned() + &long_names(), REMOVALS.to_owned()].map(|text| Layer::text(&text));
        layout.add(TAG, &Image::new(layers.to_vec())).unwrap();
        let bundle = dir.path().join("bundle");
        let name = format!("{}:{TAG}", layout.directory().display());
        argv("umoci", ["unpack", "--image", &name]).arg(&bundle).stdout().unwrap();
        let root = bundle.join("rootfs");
        assert!(root.join("opt/opaque/new").exists() && !root.join("opt/opaque/1").exists());
        assert!(
            root.join("opt/directory-to-link").is_symlink() && root.join("opt/file-to-directory/in").exists()
        );
        assert!(!root.join("srv/app/data/b").exists() && root.join("srv/app/c-hardlink").exists());
        assert!(!root.join("opt/gone").exists());
    }

    #[test]
    fn the_hard_image_is_a_debian_with_more_findings() {
        if let Err(reason) = probe::debian_roots() {
            skip!("{reason}");
        }
        let layout = image(Suite::Bookworm).unwrap();
        let scan = scan::layout(layout.directory(), TAG).unwrap();
        assert!(scan.packages.contains_key("nginx-light") && scan.fixable() > 20, "{}", scan.fixable());
        let reader = ImageReader::open(layout.directory(), TAG).unwrap();
        let ping = reader.files(|path| path == b"bin/ping" || path == b"usr/bin/ping").unwrap();
        let capable = ping.values().any(|file| file.entry.xattrs.contains_key("security.capability"));
        assert!(capable, "ping has its capability");
    }
}
