//! Every way in which a repository can be wrong, each with its own error, and its benign twin in `good.rs`.

use crate::lab::{Lab, REPOSITORIES, chosen};
use repository::{Error, SignatureFault, apk::Wanted};
use std::fs;
use testkit::{
    apk::{self, ApkSpec, Index, Signature, native_architecture},
    command::argv,
    skip,
};

macro_rules! lab {
    () => {{
        if let Err(reason) = apk::needs() {
            skip!("{reason}");
        }
        Lab::new(&[ApkSpec::new("copa-a", "2-r0").file("/usr/share/a", &"x".repeat(5000))])
    }};
}

async fn error(lab: &Lab) -> Error {
    lab.resolve(&lab.request(&["copa-a 1-r0"], Wanted::All)).await.unwrap_err()
}

async fn works(lab: &Lab) {
    let resolution = lab.resolve(&lab.request(&["copa-a 1-r0"], Wanted::All)).await.unwrap();
    assert_eq!(chosen(&resolution), ["copa-a 2-r0"]);
}

fn index(lab: &Lab) -> std::path::PathBuf {
    lab.repository.folder().join(native_architecture()).join("APKINDEX.tar.gz")
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_do_not_count_are_told_apart() {
    let lab = lab!();
    for signature in [Signature::Tampered, Signature::Stranger, Signature::Impostor, Signature::Missing] {
        lab.repository.publish(&Index { signature }).unwrap();
        let Error::Signature { fault, .. } = error(&lab).await else { panic!("{signature:?}") };
        let right = match signature {
            Signature::Tampered | Signature::Impostor => {
                matches!(&fault, SignatureFault::Bad(key) if key == lab.repository.key_name())
            }
            Signature::Stranger => {
                matches!(&fault, SignatureFault::UnknownKey(key) if key.starts_with("stranger@"))
            }
            _ => fault == SignatureFault::Missing,
        };
        assert!(right, "{signature:?} {fault:?}");
    }
    lab.repository.publish(&Index::default()).unwrap();
    works(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_not_count_are_told_apart() {
    let lab = lab!();
    let weak = argv("openssl", ["genrsa", "1024"]).stdout().unwrap();
    let weak = argv("openssl", ["rsa", "-pubout"]).filter(&weak).unwrap();
    let strange = lab.repository.strange_key().unwrap();
    for (key, right) in [
        (weak, (|fault| matches!(fault, SignatureFault::Weak { .. })) as fn(&SignatureFault) -> bool),
        (strange, |fault| matches!(fault, SignatureFault::Bad(_))),
        (b"nonsense".to_vec(), |fault| matches!(fault, SignatureFault::Malformed(_))),
    ] {
        let mut request = lab.request(&["copa-a 1-r0"], Wanted::All);
        request.files.insert(lab.key_path(), key);
        let Error::Signature { fault, .. } = lab.resolve(&request).await.unwrap_err() else {
            panic!("signature")
        };
        assert!(right(&fault), "{fault:?}");
    }
    let mut request = lab.request(&["copa-a 1-r0"], Wanted::All);
    let key = request.files.remove(&lab.key_path()).unwrap();
    let without = lab.resolve(&request).await.unwrap_err();
    assert!(
        matches!(&without, Error::Signature { fault: SignatureFault::UnknownKey(_), .. }),
        "Alpine's own: {without}"
    );
    request.os.id = "wolfi".into();
    assert!(matches!(lab.resolve(&request).await, Err(Error::NoKey { .. })));
    request.files.insert(lab.key_path().replace("/etc/", "/lib/"), key);
    assert!(lab.resolve(&request).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_index_is_named() {
    let lab = lab!();
    let good = fs::read(index(&lab)).unwrap();
    let signature = |bytes: &[u8]| [bytes, &good[..]].concat();
    for (bytes, words) in [
        (b"<html>not found</html>".to_vec(), "it begins with <html>"),
        (b"ADBd....".to_vec(), "newer than is known"),
        (good[..good.len() - 9].to_vec(), "bad signature"),
        ([&good[..], &good[..]].concat(), "bad signature"),
        (signature(&[0x1f, 0x8b]), "malformed signature: not whole gzip"),
        (good[..40].to_vec(), "malformed signature: not whole gzip"),
    ] {
        fs::write(index(&lab), bytes).unwrap();
        let error = error(&lab).await.to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    fs::remove_file(index(&lab)).unwrap();
    assert!(matches!(error(&lab).await, Error::Missing { .. }));
    fs::write(index(&lab), good).unwrap();
    works(&lab).await;
    for (line, words) in [
        (format!("v3 {}\n", lab.served.url()), "newer than is known"),
        ("/media/cdrom/apks\n".to_owned(), "none of those that the image names can be used"),
    ] {
        let mut request = lab.request(&["copa-a 1-r0"], Wanted::All);
        request.files.insert(REPOSITORIES.into(), line.into_bytes());
        let error = lab.resolve(&request).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_that_are_not_what_the_index_says_are_named() {
    let lab = lab!();
    let request = lab.request(&["copa-a 1-r0"], Wanted::All);
    let resolution = lab.resolve(&request).await.unwrap();
    let file = lab.repository.file("copa-a", "2-r0");
    let good = fs::read(&file).unwrap();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut other = good.clone();
    other.extend(b"more");
    // The control part lies in the middle, behind a signature of some 400 bytes; the data is at the end.
    for bytes in [
        changed(good.len() - 30),
        other,
        good[..good.len() - 5].to_vec(),
        vec![b'x'; good.len()],
        changed(700),
    ] {
        fs::write(&file, &bytes).unwrap();
        let result = repository::download(&resolution, &lab.session()).await;
        assert!(matches!(result, Err(Error::Mismatch { .. } | Error::Archive { .. })), "{result:?}");
    }
    fs::write(&file, &good).unwrap();
    assert_eq!(repository::download(&resolution, &lab.session()).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_long_ago_does_not_follow_a_newer_one() {
    let lab = lab!();
    let old = fs::read(index(&lab)).unwrap();
    let request = lab.request(&["copa-a 1-r0"], Wanted::All);
    let first = lab.resolve(&request).await.unwrap();
    // All packages of the kit are as old as each other, so the newer one is noted as the cache would have it.
    let heads = lab.store.http_dir().join("heads");
    let note = fs::read_dir(&heads).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&note).unwrap();
    let date = first.indexes[0].date;
    for (later, refused) in [(10, false), (40, true)] {
        let newest = date + later * 86_400;
        let changed = text.replace(&format!("\"newest\":{date}"), &format!("\"newest\":{newest}"));
        assert_ne!(changed, text);
        fs::write(&note, changed).unwrap();
        fs::write(index(&lab), &old).unwrap();
        match (refused, lab.resolve(&request).await) {
            (true, Err(Error::Rollback { .. })) => {}
            (false, Ok(resolution)) => {
                assert!(resolution.notes[0].contains("was there before"), "{:?}", resolution.notes)
            }
            (_, other) => panic!("{later}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_have_a_bound() {
    let lab = lab!();
    let mut request = lab.request(&["copa-a 1-r0"], Wanted::All);
    let line = request.files[REPOSITORIES].clone();
    let own = |n: usize| [&line[..], &format!("https://mirror.example/{n}\n").into_bytes()].concat();
    request.files.insert(REPOSITORIES.to_owned(), (0..64).flat_map(own).collect());
    let error = lab.resolve(&request).await.unwrap_err();
    assert!(matches!(&error, Error::Limit(what) if what == "more than 64 repositories"), "{error:?}");
    request.files.insert(REPOSITORIES.to_owned(), line.repeat(64));
    assert_eq!(chosen(&lab.resolve(&request).await.unwrap()), ["copa-a 2-r0"]);
}
