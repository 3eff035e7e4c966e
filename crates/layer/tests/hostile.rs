//! Layers that want out of their directory, or to mean two things at once, each with its benign twin.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod dsl;

use dsl::{Head, Tar, head, record};
use layer::{Change, Changes, DirChanges, Error, Extracted, Extractor, Flavor, Kind, LayerDir, Limits};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

fn tar() -> Tar {
    Tar::default()
}

/// Whether the calling test can run; says so where it cannot.
fn can_make_devices() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped: needs root to set owners and make devices");
    }
    root
}

struct Unpacked {
    _work: tempfile::TempDir,
    lines: Vec<String>,
    root: std::path::PathBuf,
    extracted: Extracted,
}

fn unpack_into(root: &Path, bytes: &[u8], limits: Limits) -> Result<Extracted, Error> {
    let mut extractor =
        Extractor::new(fs::File::open(root).unwrap().into(), Flavor::Native, limits, &|| false);
    extractor.tar(bytes)?;
    extractor.finish()
}

/// Unpacks beside canaries, which must be as they were whatever the layer says.
fn unpack(bytes: &[u8]) -> Result<Unpacked, Error> {
    let work = tempfile::tempdir().unwrap();
    let (root, canary) = (work.path().join("a/root"), work.path().join("canary"));
    fs::create_dir_all(&root).unwrap();
    fs::write(&canary, "canary").unwrap();
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o600)).unwrap();
    let state = |path: &Path| {
        let meta = fs::metadata(path).unwrap();
        (meta.mode(), meta.uid(), meta.mtime_nsec(), meta.nlink(), meta.ctime_nsec(), meta.size())
    };
    let watched = [canary.as_path(), Path::new("/etc/passwd"), Path::new("/etc")];
    let before = watched.map(state);
    let outcome = unpack_into(&root, bytes, Limits::default());
    assert_eq!(watched.map(state), before, "canaries");
    let names = |dir: &Path| fs::read_dir(dir).unwrap().count();
    assert_eq!((names(work.path()), names(&work.path().join("a"))), (2, 1), "nothing beside the root");
    let extracted = outcome?;
    let lines = list(&root);
    Ok(Unpacked { _work: work, lines, root, extracted })
}

fn list(root: &Path) -> Vec<String> {
    let layer = LayerDir::new(fs::File::open(root).unwrap().into(), layer::Record::default(), Flavor::Native);
    let mut lines = Vec::new();
    let visit = &mut |change: Change<'_>| {
        lines.push(match change {
            Change::Remove(path) => format!("gone {path}"),
            Change::Opaque(path) => format!("opaque {path}"),
            Change::Set(entry, content) => {
                let path = &entry.path;
                let mut text = String::new();
                content.map(|c| c.read_to_string(&mut text).unwrap());
                match entry.kind {
                    Kind::File { .. } => format!("{path} = {text}"),
                    Kind::Directory => format!("{path}/"),
                    Kind::Symlink { target } => format!("{path} -> {}", target.escape_ascii()),
                    Kind::Hardlink { target } => format!("{path} == {target}"),
                    Kind::Char { major, minor } => format!("{path} c {major}:{minor}"),
                    Kind::Block { major, minor } => format!("{path} b {major}:{minor}"),
                    Kind::Fifo => format!("{path} |"),
                }
            }
        });
        Ok(())
    };
    DirChanges::new(Arc::new(layer)).walk(visit).unwrap();
    lines
}

/// The layer unpacks to just this.
fn yields(case: &str, tar: Tar, lines: &[&str]) -> Unpacked {
    let unpacked = unpack(&tar.end()).unwrap_or_else(|e| panic!("{case}: {e}"));
    assert_eq!(unpacked.lines, lines, "{case}");
    unpacked
}

/// The layer is refused, for this reason.
fn refused(case: &str, tar: Tar, why: &str) {
    match unpack(&tar.end()) {
        Ok(unpacked) => panic!("{case}: unpacked to {:?}", unpacked.lines),
        Err(error) => assert!(error.to_string().contains(why), "{case}: {error}"),
    }
}

#[test]
fn names_do_not_lead_out() {
    if !can_make_devices() {
        return;
    }
    for name in ["../x", "a/../../x", "/../x", "..", "a/..", "./../x"] {
        refused(name, tar().file(name, "x"), "leaves the root");
    }
    refused("NUL", tar().pax(&[("path", b"a\0b")]).file("x", "x"), "NUL");
    yields("absolute", tar().file("/etc/x", "1").file("//y", "2"), &["/etc/", "/etc/x = 1", "/y = 2"]);
    yields("dots", tar().dir("./").file("./a/./b", "1"), &["/a/", "/a/b = 1"]);
    yields(
        "like dots",
        tar().file("..a", "1").file("b..", "2").file("...", "3"),
        &["/... = 3", "/..a = 1", "/b.. = 2"],
    );
}

#[test]
fn links_on_the_way_lead_within_the_layer() {
    if !can_make_devices() {
        return;
    }
    let out = &["/etc/", "/etc/passwd = x", "/out -> /etc"];
    yields("absolute", tar().symlink("out", "/etc").file("out/passwd", "x"), out);
    let up = tar().symlink("out", "../../../../etc").file("out/passwd", "x");
    yields("relative", up, &["/etc/", "/etc/passwd = x", "/out -> ../../../../etc"]);
    let usrmerge =
        tar().dir("usr/").dir("usr/lib/").symlink("lib", "usr/lib").file("lib/x", "x").dir("lib/y");
    yields("usrmerge", usrmerge, &["/lib -> usr/lib", "/usr/", "/usr/lib/", "/usr/lib/x = x", "/usr/lib/y/"]);
    let sbin = tar().dir("usr/sbin").symlink("sbin", "/usr/sbin").file("sbin/x", "x");
    yields("absolute usrmerge", sbin, &["/sbin -> /usr/sbin", "/usr/", "/usr/sbin/", "/usr/sbin/x = x"]);
    refused("loop", tar().symlink("a", "b").symlink("b", "a").file("a/x", "x"), "too many levels");
    refused("self", tar().symlink("a", "a").file("a/x", "x"), "too many levels");
    let chain = (0..255).fold(tar(), |t, n| t.symlink(&format!("l{n}"), &format!("l{}", n + 1)));
    refused("chain of 255", chain.file("l0/x", "x"), "too many levels");
    let short = (0..30).fold(tar().dir("l30"), |t, n| t.symlink(&format!("l{n}"), &format!("l{}", n + 1)));
    assert!(unpack(&short.file("l0/x", "x").end()).unwrap().lines.contains(&"/l30/x = x".to_owned()));
    refused("through a file", tar().file("a", "x").file("a/b", "y"), "is no directory");
    let swapped = tar().dir("d").file("d/a", "1").symlink("d", "/etc").file("d/passwd", "x");
    yields("replaced in between", swapped, &["/d -> /etc", "/etc/", "/etc/passwd = x"]);
    refused("proc", tar().symlink("p", "/proc/self/root").file("p/../../x", "x"), "leaves the root");
}

#[test]
fn a_link_at_the_end_is_replaced_not_followed() {
    if !can_make_devices() {
        return;
    }
    yields("file over link", tar().symlink("a", "/etc/passwd").file("a", "x"), &["/a = x"]);
    yields(
        "directory over link",
        tar().symlink("a", "/etc").dir("a").file("a/b", "x"),
        &["/a/", "opaque /a", "/a/b = x"],
    );
    yields("link over link", tar().symlink("a", "/etc").symlink("a", "b"), &["/a -> b"]);
    let modes = tar()
        .symlink("a", "/etc/passwd")
        .raw(head("a", b'2').link("/etc/passwd").mode(0o777).owner(7, 7), b"");
    yields("owner and times of a link", modes, &["/a -> /etc/passwd"]);
    let attributes =
        tar().symlink("a", "/etc/passwd").pax(&[("SCHILY.xattr.user.x", b"y")]).symlink("a", "/etc/passwd");
    yields("attributes of a link", attributes, &["/a -> /etc/passwd"]);
}

#[test]
fn the_root_is_a_directory() {
    if !can_make_devices() {
        return;
    }
    for name in ["/", ".", "/.", "./"] {
        let links = [
            head(name, b'2').link("/etc"),
            head(name, b'1').link("etc/passwd"),
            head(name, b'6'),
            head(name, b'3').device(1, 3),
        ];
        for link in links {
            refused(name, tar().raw(link, b"").file("passwd", "x"), "root can only be");
        }
    }
    refused("root as file", tar().file(".", "x"), "root can only be");
    let closed = tar().raw(head("./", b'5').mode(0o000).owner(5, 6), b"").file("a", "x");
    let unpacked = yields("closed root", closed, &["/a = x"]);
    let meta = fs::metadata(&unpacked.root).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime()), (0, 5, 6, 5));
    let twin = yields("benign root", tar().dir("./").file("a", "x"), &["/a = x"]);
    assert_eq!(fs::metadata(&twin.root).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn hard_links_stay_within_the_layer() {
    if !can_make_devices() {
        return;
    }
    refused("to the host", tar().hardlink("a", "/etc/passwd"), "not in the layer before");
    refused("up", tar().hardlink("a", "../../canary"), "leaves the root");
    refused(
        "through a link",
        tar().symlink("l", "/etc").hardlink("a", "l/passwd"),
        "not in the layer before",
    );
    refused("later", tar().hardlink("a", "b").file("b", "x"), "not in the layer before");
    refused("to the current directory", tar().hardlink("a", "Cargo.toml"), "not in the layer before");
    refused("to a directory", tar().dir("d").hardlink("a", "d"), "a directory");
    refused("to the root", tar().hardlink("a", "/"), "to the root");
    refused("to what is removed", tar().file(".wh.x", "").hardlink("a", "x"), "not in the layer before");
    refused(
        "with content",
        tar().file("b", "x").raw(head("a", b'1').link("b").size(3), b"abc"),
        "can have none",
    );
    yields("absolute", tar().file("d/b", "x").hardlink("d/c", "/d/b"), &["/d/", "/d/b = x", "/d/c == /d/b"]);
    let through = tar().file("usr/b", "x").symlink("u", "usr").hardlink("c", "u/b");
    yields("through usrmerge", through, &["/c = x", "/u -> usr", "/usr/", "/usr/b == /c"]);
    yields(
        "to a link",
        tar().symlink("l", "/etc/passwd").hardlink("a", "l"),
        &["/a -> /etc/passwd", "/l -> /etc/passwd"],
    );
    yields("to itself", tar().file("a", "x").hardlink("a", "a"), &["/a = x"]);
    yields("over another", tar().file("a", "x").file("b", "y").hardlink("b", "a"), &["/a = x", "/b == /a"]);
}

#[test]
fn devices_are_made_and_none_becomes_a_removal() {
    if !can_make_devices() {
        return;
    }
    refused("0:0", tar().raw(head("a", b'3').device(0, 0), b""), "stand for a removal");
    refused("block 0:0", tar().raw(head("a", b'4').device(0, 0), b""), "stand for a removal");
    refused("major", tar().raw(head("a", b'3').device(4096, 0), b""), "out of range");
    refused("minor", tar().raw(head("a", b'3').device(1, 1 << 20), b""), "out of range");
    let devices = tar()
        .raw(head("dev/null", b'3').device(1, 3).mode(0o666), b"")
        .raw(head("dev/sda", b'4').device(8, 0).owner(0, 6), b"")
        .raw(head("pipe", b'6').mode(0o600), b"");
    let unpacked = yields("devices", devices, &["/dev/", "/dev/null c 1:3", "/dev/sda b 8:0", "/pipe |"]);
    assert_eq!(fs::symlink_metadata(unpacked.root.join("dev/sda")).unwrap().gid(), 6);
    assert_eq!(fs::symlink_metadata(unpacked.root.join("dev/null")).unwrap().mode() & 0o777, 0o666);
}

#[test]
fn bits_and_attributes_arrive_and_private_ones_do_not() {
    if !can_make_devices() {
        return;
    }
    let v2 = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let v3 = [&[1, 0, 0, 3][..], &v2[4..], &1000u32.to_le_bytes()].concat();
    let records: [(&str, &[u8]); 6] = [
        ("SCHILY.xattr.security.capability", &v3),
        ("SCHILY.xattr.user.keep", b"a\nb"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.copa.owner", b"5:5"),
        ("SCHILY.xattr.user.copa.device", b"c:1:1"),
    ];
    let file = head("a", b'0').mode(0o6755).owner(3, 4);
    let tar = tar().pax(&records).raw(file, b"").pax(&records[2..]).raw(head("d", b'5').mode(0o1777), b"");
    let unpacked = yields("attributes", tar, &["/a = ", "/d/"]);
    assert_eq!(unpacked.extracted.dropped_xattrs, 8);
    let layer = LayerDir::new(
        fs::File::open(&unpacked.root).unwrap().into(),
        layer::Record::default(),
        Flavor::Native,
    );
    let mut seen = Vec::new();
    let visit = &mut |change: Change<'_>| {
        if let Change::Set(entry, _) = change {
            seen.push(entry);
        }
        Ok(())
    };
    DirChanges::new(Arc::new(layer)).walk(visit).unwrap();
    assert_eq!((seen[0].mode, seen[0].uid, seen[0].gid), (0o6755, 3, 4));
    let names: Vec<_> = seen[0].xattrs.keys().map(|k| k.escape_ascii().to_string()).collect();
    assert_eq!(names, ["security.capability", "user.keep"]);
    assert_eq!(seen[0].xattrs[&b"security.capability"[..]], v2);
    assert_eq!((seen[1].mode, seen[1].xattrs.len()), (0o1777, 0));
}

#[test]
fn the_last_entry_of_a_name_wins() {
    if !can_make_devices() {
        return;
    }
    yields("file over file", tar().file("a", "1").file("a", "22"), &["/a = 22"]);
    yields("file over directory", tar().dir("a").file("a/b", "1").file("a", "2"), &["/a = 2"]);
    yields("directory over file", tar().file("a", "1").dir("a"), &["/a/", "opaque /a"]);
    yields("directory twice", tar().dir("a").file("a/b", "1").dir("a"), &["/a/", "/a/b = 1"]);
    yields("link over directory", tar().dir("a").file("a/b", "1").symlink("a", "c"), &["/a -> c"]);
    yields("file over pipe", tar().raw(head("a", b'6'), b"").file("a", "1"), &["/a = 1"]);
    let broken = tar().file("a", "1").hardlink("b", "a").file("a", "2");
    yields("one of two names", broken, &["/a = 2", "/b = 1"]);
    let twice = tar().raw(head("a", b'5').mode(0o700).owner(1, 1), b"").raw(head("a", b'5').mode(0o711), b"");
    let unpacked = yields("directory described twice", twice, &["/a/"]);
    let meta = fs::metadata(unpacked.root.join("a")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o711, 0));
}

#[test]
fn removals_speak_of_lower_layers_only() {
    if !can_make_devices() {
        return;
    }
    for name in [".wh.", "a/.wh.", ".wh..", ".wh...", ".wh.x/y", "a/.wh.b/c", ".wh..wh.x", ".wh..wh.plnk"] {
        assert!(unpack(&tar().dir("a").file(name, "").end()).is_err(), "{name}");
    }
    yields("plain", tar().file("a/.wh.b", "").file(".wh.c", ""), &["/a/", "gone /a/b", "gone /c"]);
    yields("before its own file", tar().file(".wh.a", "").file("a", "x"), &["/a = x"]);
    yields("after its own file", tar().file("a", "x").file(".wh.a", ""), &["/a = x"]);
    let hidden = &["/a/", "opaque /a", "/a/b = x"];
    yields("before its own directory", tar().file(".wh.a", "").dir("a").file("a/b", "x"), hidden);
    yields("after its own directory", tar().dir("a").file("a/b", "x").file(".wh.a", ""), hidden);
    yields("before an implied directory", tar().file(".wh.a", "").file("a/b", "x"), hidden);
    yields("opaque first", tar().dir("a").file("a/.wh..wh..opq", "").file("a/b", "x"), hidden);
    yields("opaque last", tar().dir("a").file("a/b", "x").file("a/.wh..wh..opq", ""), hidden);
    yields("opaque before its directory", tar().file("a/.wh..wh..opq", "").dir("a").file("a/b", "x"), hidden);
    yields("twice", tar().file(".wh.a", "").file(".wh.a", ""), &["gone /a"]);
    let through = tar()
        .dir("d")
        .file("d/passwd", "mine")
        .symlink("l", "/d")
        .file("l/.wh.passwd", "")
        .file("l/.wh.x", "");
    yields("through a link", through, &["/d/", "/d/passwd = mine", "gone /d/x", "/l -> /d"]);
    let out = tar().symlink("l", "/etc").file("l/.wh.passwd", "");
    yields("through a link out", out, &["/etc/", "gone /etc/passwd", "/l -> /etc"]);
    let whole = yields("opaque root", tar().file(".wh..wh..opq", "").file("a", "x"), &["opaque /", "/a = x"]);
    assert!(whole.extracted.opaque_root);
    let part = yields("opaque folder", tar().file("a/.wh..wh..opq", ""), &["/a/", "opaque /a"]);
    assert!(!part.extracted.opaque_root);
}

/// A header in GNU's own format.
fn gnu(head: Head) -> Head {
    head.field(257, b"ustar  \0")
}

fn zero(bytes: usize) -> Vec<u8> {
    vec![0u8; bytes]
}

/// A stream that begins with a PAX header of these bytes.
fn extended(body: &[u8]) -> Tar {
    tar().extension(b'x', body)
}

#[test]
fn a_stream_means_one_thing() {
    if !can_make_devices() {
        return;
    }
    let hidden = tar().file("hidden", "evil").0;
    // A reader that went by the header's size of 0 would take the content for entries.
    let desync = tar().pax(&[("size", hidden.len().to_string().as_bytes())]).raw(head("a", b'0'), &hidden);
    let unpacked = unpack(&desync.end()).unwrap();
    assert!(unpacked.lines.len() == 1 && unpacked.lines[0].starts_with("/a = hidden"));

    refused(
        "PAX and GNU name",
        tar().pax(&[("path", b"p")]).extension(b'L', b"q\0").file("x", ""),
        "PAX and GNU",
    );
    refused(
        "GNU and PAX name",
        tar().extension(b'L', b"q\0").pax(&[("size", b"0")]).file("x", ""),
        "PAX and GNU",
    );
    refused("two PAX", tar().pax(&[("path", b"p")]).pax(&[("path", b"q")]).file("x", ""), "two extension");
    refused("two GNU", tar().extension(b'L', b"p\0").extension(b'L', b"q\0").file("x", ""), "two extension");
    refused("orphan PAX", tar().pax(&[("path", b"p")]), "without an entry");
    refused("orphan GNU", tar().extension(b'K', b"p\0"), "without an entry");
    refused(
        "global in between",
        tar().pax(&[("path", b"p")]).extension(b'g', b"").file("x", ""),
        "misplaced",
    );
    refused("global path", tar().extension(b'g', &record("path", b"p")).file("x", ""), "every entry");
    refused("global size", tar().extension(b'g', &record("size", b"1")).file("x", ""), "every entry");
}

#[test]
fn a_malformed_record_is_refused() {
    if !can_make_devices() {
        return;
    }
    refused("unterminated record", extended(b"8 path=p").file("x", ""), "malformed PAX");
    refused(
        "padding in record",
        extended(&[&record("path", b"p")[..], &zero(5)].concat()).file("x", ""),
        "malformed PAX",
    );
    refused(
        "two sizes",
        extended(&[record("size", b"1"), record("size", b"2")].concat()).file("x", ""),
        "conflicting",
    );
    refused("hidden in GNU name", tar().extension(b'L', b"a\0b\0").file("x", ""), "malformed long name");
    refused("empty GNU name", tar().extension(b'L', b"\0").file("x", ""), "malformed long name");
    refused("huge extension", tar().raw(head("ext", b'x').size(2 << 20), b""), "extension header of");
}

#[test]
fn a_number_means_one_thing() {
    if !can_make_devices() {
        return;
    }
    refused("non-octal size", tar().raw(head("a", b'0').field(124, b"0000000009x\0"), b""), "not an octal");
    refused("negative octal", tar().raw(head("a", b'0').field(124, b"-0000000001\0"), b""), "not an octal");
    refused("gap in octal", tar().raw(head("a", b'0').field(124, b"1 2\0"), b""), "not an octal");
    refused("negative size", tar().raw(head("a", b'0').field(124, &[0xff; 12]), b""), "negative");
    refused("negative uid", tar().raw(head("a", b'0').field(108, &[0xff; 8]), b""), "negative");
    refused("uid 2^32", tar().pax(&[("uid", b"4294967296")]).file("a", ""), "out of range");
    refused("uid that means none", tar().pax(&[("uid", b"4294967295")]).file("a", ""), "out of range");
    refused(
        "size 2^64",
        tar().raw(head("a", b'0').field(124, &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), b""),
        "out of range",
    );
}

#[test]
fn an_entry_is_of_one_kind() {
    if !can_make_devices() {
        return;
    }
    refused("directory with content", tar().raw(head("d", b'5').size(512), &zero(512)), "can have none");
    refused("file named like a folder", tar().file("d/", "x"), "ends in a slash");
    refused("star's sparse", tar().raw(head("a", b'S'), b""), "unsupported: sparse");
    refused("PAX sparse", tar().pax(&[("GNU.sparse.major", b"1")]).file("a", ""), "without its size");
    refused("star's other", tar().pax(&[("SCHILY.realsize", b"1")]).file("a", ""), "unsupported: sparse");
    refused("volume label", tar().raw(head("a", b'V'), b""), "unsupported: entry of type");
    refused("no name", tar().file("", "x"), "without a name");
    refused("link without target", tar().raw(head("a", b'2'), b""), "without a target");
}

#[test]
fn a_stream_that_is_cut_or_goes_on_is_refused() {
    if !can_make_devices() {
        return;
    }
    let mut bad_sum = tar().file("a", "x");
    bad_sum.0[0] = b'b';
    refused("checksum", bad_sum, "checksum");
    for (case, cut, why) in [
        ("in a header", 700, "cut short"),
        ("in content", 600, "cut short"),
        ("in padding", 1000, "cut short"),
    ] {
        let bytes = tar().file("a", &"x".repeat(300)).file("b", "").0;
        let cut = if case == "in a header" { 1024 + 100 } else { cut };
        let error = unpack(&bytes[..cut]).map(|u| u.lines).unwrap_err();
        assert!(error.to_string().contains(why), "{case}: {error}");
    }
    let after = [&tar().file("a", "x").end()[..], &tar().file("hidden", "x").end()].concat();
    assert!(unpack(&after).err().unwrap().to_string().contains("after the end"));
    let one = [&tar().file("a", "x").0[..], &zero(512), &tar().file("hidden", "x").0].concat();
    assert!(unpack(&one).err().unwrap().to_string().contains("after the end"));
}

#[test]
fn the_benign_twins_pass() {
    if !can_make_devices() {
        return;
    }
    assert_eq!(unpack(&tar().file("a", "x").0).unwrap().lines, ["/a = x"], "no end blocks");
    assert_eq!(
        unpack(&[tar().file("a", "x").0, zero(512)].concat()).unwrap().lines,
        ["/a = x"],
        "one end block"
    );
    assert_eq!(
        unpack(&[tar().file("a", "x").end(), zero(9000)].concat()).unwrap().lines,
        ["/a = x"],
        "padded end"
    );
    assert_eq!(unpack(b"").unwrap().lines, [""; 0], "no layer at all");
    yields(
        "GNU names",
        tar()
            .extension(b'K', b"target\0")
            .extension(b'L', b"name\0")
            .raw(gnu(head("x", b'2').link("y")), b""),
        &["/name -> target"],
    );
    let long = "n".repeat(150);
    yields(
        "GNU name of many bytes",
        tar().extension(b'L', long.as_bytes()).file("x", "1"),
        &[&format!("/{long} = 1")],
    );
    yields("global comment", tar().extension(b'g', &record("comment", b"c")).file("a", "1"), &["/a = 1"]);
    yields(
        "PAX over prefix",
        tar().pax(&[("path", b"p")]).raw(head("x", b'0').field(345, b"pre"), b""),
        &["/p = "],
    );
    yields("prefix", tar().raw(head("x", b'0').field(345, b"pre"), b""), &["/pre/", "/pre/x = "]);
    yields("GNU has no prefix", tar().raw(gnu(head("x", b'0').field(345, b"123")), b""), &["/x = "]);
    yields("old directory", tar().raw(head("d/", 0).field(257, &[0; 8]), b""), &["/d/"]);
    yields(
        "blank numbers",
        tar().raw(head("a", b'0').field(108, &[0; 8]).field(116, b"        "), b""),
        &["/a = "],
    );
    yields("padded numbers", tar().raw(head("a", b'0').field(124, b"          1 "), b"x"), &["/a = x"]);
    let base256 =
        head("a", b'0').field(124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).field(136, &[0xff; 12]);
    let unpacked = yields("base 256", tar().raw(base256, b"x"), &["/a = x"]);
    assert_eq!(fs::metadata(unpacked.root.join("a")).unwrap().mtime(), -1);
}

#[test]
fn names_of_any_bytes_and_lengths() {
    if !can_make_devices() {
        return;
    }
    let named = |name: &[u8]| tar().pax(&[("path", name)]).file("x", "1");
    refused("name of 256 bytes", named(&[b'n'; 256]), "name too long");
    let deep = |parts: usize| vec!["d"; parts].join("/").into_bytes();
    refused("path of 4097 bytes", named(&deep(2049)), "name too long");
    yields("bytes", named(b"a\xff\n\x01b"), &["/a\\xff\\n\\x01b = 1"]);
    assert_eq!(unpack(&named(&[b'n'; 255]).end()).unwrap().lines.len(), 1);
    assert_eq!(unpack(&named(&deep(2000)).end()).unwrap().lines.len(), 2000);
    let links = tar().pax(&[("linkpath", &[b't'; 4096])]).symlink("l", "x");
    refused("target of 4096 bytes", links, "too long");
}

#[test]
fn counts_and_sizes_are_bounded() {
    if !can_make_devices() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let many = (0..20).fold(tar(), |t, n| t.file(&format!("f{n}"), "x")).end();
    let limits = Limits { entries: 10, ..Limits::default() };
    assert!(matches!(unpack_into(dir.path(), &many, limits), Err(Error::Limit(_))));
    let limits = Limits { unpacked_bytes: 10, ..Limits::default() };
    assert!(matches!(unpack_into(dir.path(), &many, limits), Err(Error::Limit(_))));
    // Refused before anything of it is written.
    let claim = tar().pax(&[("size", b"1000000000000000")]).raw(head("big", b'0'), b"");
    assert!(matches!(unpack_into(dir.path(), &claim.end(), Limits::default()), Err(Error::Limit(_))));
    assert!(fs::symlink_metadata(dir.path().join("big")).is_err());
    let fits = Limits { entries: 20, unpacked_bytes: 20, ..Limits::default() };
    assert_eq!(unpack_into(dir.path(), &many, fits).unwrap().entries, 20);
}

#[test]
fn folders_get_their_times_and_modes_last() {
    if !can_make_devices() {
        return;
    }
    let closed = tar()
        .raw(head("d", b'5').mode(0o000), b"")
        .raw(head("d/e", b'5').mode(0o500), b"")
        .file("d/e/f", "x");
    let unpacked = yields("closed folders", closed, &["/d/", "/d/e/", "/d/e/f = x"]);
    for (name, mode) in [("d", 0), ("d/e", 0o500)] {
        let meta = fs::metadata(unpacked.root.join(name)).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime()), (mode, 5), "{name}");
    }
    let implied = yields("implied", tar().file("d/f", "x"), &["/d/", "/d/f = x"]);
    let meta = fs::metadata(implied.root.join("d")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o755, 0));
}
