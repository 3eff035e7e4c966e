//! The settings of apt during a run, as a configuration file that apt reads after the image's own. A file and not `-o`
//! options, because only a file can clear what the image has set for single hosts.

use crate::{Error, Settings};
use engine::Mount;

/// The name of the settings below `/dev/copa`.
const CONF: &str = "apt.conf";

/// The name of the certificates there.
const CERTIFICATES: &str = "ca.pem";

/// The name of the repository configuration there, where it is not the image's own.
const SOURCES: &str = "sources.list";

/// The name of preferences there, where they are not the image's own alone.
const PREFERENCES: &str = "preferences";

/// How apt is told of the settings.
pub(super) const CONF_OPTION: [&str; 2] = ["-c", "/dev/copa/apt.conf"];

/// What holds for every run. Signature checks and dates of indexes are apt's own and stay as they are.
const ALWAYS: &str = r##"// An index that cannot be had is an error and no warning (apt 2.1.16 and later; for older ones the output is judged).
APT::Update::Error-Mode "any";
Acquire::Retries "3";
// Indexes that no upgrade needs.
#clear Acquire::Languages;
Acquire::Languages "none";
// The sandbox is the boundary; another user may not exist in it.
APT::Sandbox::User "root";
Dpkg::Use-Pty "false";
Dpkg::Progress-Fancy "false";
APT::Color "false";
// Configuration files that were changed stay, without a question.
#clear DPkg::Options;
DPkg::Options { "--force-confdef"; "--force-confold"; };
// Only what was asked for, and nothing taken away.
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::Remove "false";
APT::Get::AutomaticRemove "false";
APT::Get::allow-downgrades "false";
APT::Get::allow-change-held-packages "false";
// Phased updates depend on the machine's id: everybody gets all of them, so that equal images get equal layers.
APT::Get::Always-Include-Phased-Updates "true";
Update-Manager::Always-Include-Phased-Updates "true";
"##;

/// What takes the place of files of the image during the run.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// Lines of repository configuration.
    pub sources: Option<String>,
    /// Preferences.
    pub preferences: Option<Vec<u8>>,
}

/// The files shown during the run.
pub(super) fn mounts(settings: &Settings, replaced: Replaced) -> Result<Vec<Mount>, Error> {
    let Replaced { sources, preferences } = replaced;
    let mut text = ALWAYS.to_owned();
    if settings.policy.allow_removals {
        text.push_str("APT::Get::Remove \"true\";\n");
    }
    if settings.policy.security_only {
        // It would be worth more than the preferences.
        text.push_str("#clear APT::Default-Release;\n");
    }
    if preferences.is_some() {
        text.push_str(&format!("Dir::Etc::Preferences \"/dev/copa/{PREFERENCES}\";\n"));
    }
    if let Some(url) = &settings.proxy_url {
        text.push_str(&proxy(url)?);
    }
    if sources.is_some() {
        text.push_str(&format!(
            "Dir::Etc::SourceList \"/dev/copa/{SOURCES}\";\nDir::Etc::SourceParts \"/dev/copa/none\";\n"
        ));
    }
    let certificates = settings.ca_certificates.clone();
    if certificates.is_some() {
        text.push_str(&format!("Acquire::https::CAInfo \"/dev/copa/{CERTIFICATES}\";\n"));
    }
    let mut mounts = vec![Mount { name: CONF.to_owned(), content: text.into_bytes() }];
    mounts.extend(certificates.map(|content| Mount { name: CERTIFICATES.to_owned(), content }));
    mounts.extend(sources.map(|lines| Mount { name: SOURCES.to_owned(), content: lines.into() }));
    mounts.extend(preferences.map(|content| Mount { name: PREFERENCES.to_owned(), content }));
    Ok(mounts)
}

/// The proxy for both schemes, in place of every proxy and of every proxy finder of the image, those of single hosts included.
fn proxy(url: &str) -> Result<String, Error> {
    let plain = url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b';'));
    if !plain {
        return Err(Error::State("the engine's proxy has no valid URL".into()));
    }
    let scheme = |scheme: &str| {
        let clear = ["Proxy", "Proxy-Auto-Detect", "ProxyAutoDetect"];
        let cleared: String = clear.iter().map(|key| format!("#clear Acquire::{scheme}::{key};\n")).collect();
        format!("{cleared}Acquire::{scheme}::Proxy \"{url}\";\n")
    };
    Ok(scheme("http") + &scheme("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_and_certificates_are_named_where_given() {
        let text = |settings: &Settings| {
            let mounts = mounts(settings, Replaced::default()).unwrap();
            (String::from_utf8(mounts[0].content.clone()).unwrap(), mounts.len())
        };
        let (plain, count) = text(&Settings::default());
        assert!(!plain.contains("Proxy") && !plain.contains("CAInfo") && count == 1);
        let given = Settings {
            proxy_url: Some("http://127.0.0.1:3128".into()),
            ca_certificates: Some(b"PEM".to_vec()),
            ..Settings::default()
        };
        let (given, count) = text(&given);
        assert!(given.contains("#clear Acquire::https::Proxy;\n"));
        assert!(given.contains("Acquire::http::Proxy \"http://127.0.0.1:3128\";\n"));
        assert!(given.contains("Acquire::https::CAInfo \"/dev/copa/ca.pem\";\n") && count == 2);
        assert!(proxy("http://x\";\nAPT::Pre-Invoke \"y").is_err());
    }

    #[test]
    fn other_sources_take_the_place_of_all_of_the_images() {
        let replaced = Replaced { sources: Some("deb http://a/ b c\n".into()), ..Replaced::default() };
        let mounts = mounts(&Settings::default(), replaced).unwrap();
        let text = String::from_utf8_lossy(&mounts[0].content);
        assert!(text.contains("Dir::Etc::SourceList \"/dev/copa/sources.list\";"), "{text}");
        assert!(text.contains("Dir::Etc::SourceParts"), "{text}");
        assert_eq!(
            (mounts[1].name.as_str(), &mounts[1].content[..]),
            ("sources.list", &b"deb http://a/ b c\n"[..])
        );
    }

    #[test]
    fn no_setting_weakens_signatures_or_dates() {
        let text = ALWAYS.to_ascii_lowercase();
        for word in ["unauthenticated", "insecure", "valid-until", "check-date", "trusted", "weak"] {
            assert!(!text.contains(word), "{word}");
        }
    }
}
