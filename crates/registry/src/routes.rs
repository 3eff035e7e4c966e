//! Where the requests for an image really go: mirrors in order, then its place, as registries.conf has it. Pure.

use crate::{
    Error, RegistriesConf, ShortNameMode, Transport,
    registries_conf::{Entry, Pulls},
};
use fetch::client::printable;
use oci::Reference;

/// Longest name in a message.
const NAME_CHARS_SHOWN: usize = 200;

/// What requests are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reading: mirrors and other locations count.
    Pull,
    /// Writing: what is named is where it goes.
    Push,
}

/// One place to ask for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The image there: host and repository are those really asked, and so those whose credentials count.
    pub reference: Reference,
    /// How the host is spoken to.
    pub transport: Transport,
    /// Whether any certificate of the host will do.
    pub unverified: bool,
    /// Whether it is a mirror, which may fail.
    pub is_mirror: bool,
}

/// Which places stand for which images.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    conf: RegistriesConf,
    plain_http_hosts: Vec<String>,
}

/// What a short name may mean, from [`Routes::candidates`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates(
    /// Whole names; the first that exists is meant.
    pub Vec<String>,
);

impl Routes {
    /// By registries.conf, where the user names further hosts (with port, or all ports) that speak plain http.
    pub fn new(conf: RegistriesConf, plain_http_hosts: Vec<String>) -> Self {
        Routes { conf, plain_http_hosts }
    }

    /// Places to ask for an image, in order; the last is its own. At least one. A mirror whose place is blocked itself is
    /// left out.
    pub fn of(&self, image: &Reference, purpose: Purpose) -> Result<Vec<Route>, Error> {
        let Some((entry, rest)) = self.entry(image) else {
            return Ok(vec![self.route(image.clone(), false, false)]);
        };
        if entry.blocked {
            return Err(blocked(image, entry));
        }
        if purpose == Purpose::Push || entry.location.is_empty() && entry.mirrors.is_empty() {
            return Ok(vec![self.route(image.clone(), entry.insecure, false)]);
        }
        let mut routes = Vec::new();
        for mirror in entry.mirrors.iter().filter(|m| serves(entry, m.pull_from_mirror, image)) {
            let there = placed(&mirror.location, &rest, image)?;
            if self.entry(&there).is_none_or(|(entry, _)| !entry.blocked) {
                routes.push(self.route(there, mirror.insecure, true));
            }
        }
        let own = match entry.location.as_str() {
            "" => image.clone(),
            location => placed(location, &rest, image)?,
        };
        if let Some((at, _)) = self.entry(&own).filter(|(at, _)| at.blocked) {
            return Err(blocked(&own, at));
        }
        routes.push(self.route(own, entry.insecure, false));
        Ok(routes)
    }

    /// What a short name (`nginx`, `team/app:1`) means where registries.conf decides: its alias, else it in every registry
    /// to be searched. `None` where the name says its registry, or nothing says what it means.
    pub fn candidates(&self, name: &str) -> Result<Option<Candidates>, Error> {
        let wrong = |why: String| Error::Configuration { file: "registries.conf".into(), why };
        let at = name.find('@').unwrap_or(name.len());
        let at = name[..at].rfind(':').filter(|colon| !name[*colon..at].contains('/')).unwrap_or(at);
        let (short, selector) = name.split_at(at);
        let first = short.split('/').next().unwrap_or(short);
        let says_host = short.contains('/') && (first.contains(['.', ':']) || first == "localhost");
        if says_host || name.parse::<Reference>().is_err() {
            return Ok(None);
        }
        if let Some(whole) = self.conf.aliases.get(short) {
            return Ok(Some(Candidates(vec![format!("{whole}{selector}")])));
        }
        let search = &self.conf.search;
        if search.len() > 1 && self.conf.mode == Some(ShortNameMode::Enforcing) {
            let (name, hosts) = (printable(name, NAME_CHARS_SHOWN), search.join(", "));
            return Err(wrong(format!(
                "\"{name}\" may be in any of {hosts}; write its registry or an alias"
            )));
        }
        let all = search.iter().map(|host| format!("{host}/{name}")).collect::<Vec<_>>();
        Ok((!all.is_empty()).then_some(Candidates(all)))
    }

    fn route(&self, reference: Reference, insecure: bool, is_mirror: bool) -> Route {
        let transport = match Transport::of(reference.host(), &self.plain_http_hosts) {
            Transport::Automatic if insecure => Transport::Insecure,
            other => other,
        };
        Route { reference, transport, unverified: insecure, is_mirror }
    }

    /// The entry for an image, the longest that there is, with what follows its prefix in the image's name.
    fn entry(&self, image: &Reference) -> Option<(&Entry, String)> {
        let fits = self.conf.registries.values().filter_map(|entry| {
            let (weight, rest) = fit(&entry.prefix, image)?;
            Some((weight, entry, rest))
        });
        fits.max_by_key(|(weight, ..)| *weight).map(|(_, entry, rest)| (entry, rest))
    }
}

fn blocked(image: &Reference, entry: &Entry) -> Error {
    Error::Blocked { image: image.to_string(), prefix: entry.prefix.clone() }
}

/// Whether a mirror is for pulls like this one.
fn serves(entry: &Entry, pulls: Option<Pulls>, image: &Reference) -> bool {
    let by_digest = image.digest().is_some();
    match pulls.unwrap_or(Pulls::All) {
        _ if entry.mirror_by_digest_only => by_digest,
        Pulls::All => true,
        Pulls::DigestOnly => by_digest,
        Pulls::TagOnly => !by_digest,
    }
}

/// How well a prefix fits an image (a host's own entry better than one for all below a domain, a longer one better), and
/// what follows it in the image's name.
fn fit(prefix: &str, image: &Reference) -> Option<((bool, usize), String)> {
    let whole = image.to_string();
    let path = &whole[image.host().len()..];
    if let Some(domain) = prefix.strip_prefix('*') {
        let name = image.host().split(':').next()?;
        let above = name.len().checked_sub(domain.len()).filter(|n| *n > 0)?;
        let below = name.get(above..)?.eq_ignore_ascii_case(domain);
        return below.then(|| ((false, prefix.len()), path.to_owned()));
    }
    let (host, part) = prefix.find('/').map_or((prefix, ""), |at| prefix.split_at(at));
    // Names of hosts are the same in either case; an entry that blocks one blocks it however it is written.
    let rest = path.strip_prefix(part)?;
    let whole_words = rest.is_empty() || rest.starts_with(['/', ':', '@']);
    if !whole_words || !host.eq_ignore_ascii_case(image.host()) {
        return None;
    }
    Some(((true, prefix.len()), rest.to_owned()))
}

/// The image below another location.
fn placed(location: &str, rest: &str, image: &Reference) -> Result<Reference, Error> {
    let there = format!("{location}{rest}");
    there.parse().map_err(|_| Error::Configuration {
        file: "registries.conf".into(),
        why: format!("{image} would be {}, which is no name", printable(&there, NAME_CHARS_SHOWN)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(text: &str) -> Routes {
        let mut conf = RegistriesConf::default();
        conf.add("test", text.as_bytes()).unwrap();
        Routes::new(conf, vec!["plain.example".into()])
    }

    fn asked(routes: &Routes, image: &str, purpose: Purpose) -> Vec<String> {
        let all = routes.of(&image.parse().unwrap(), purpose).unwrap();
        all.iter().map(|r| r.reference.to_string()).collect()
    }

    const MANUAL: &str = r#"
        [[registry]]
        prefix = "example.com/foo"
        location = "internal.example.net/bar"
        [[registry.mirror]]
        location = "mirror-0.local/mirror-for-foo"
        [[registry.mirror]]
        location = "mirror-1.local/mirrors/foo"
        insecure = true
        [[registry]]
        location = "registry.com"
        [[registry.mirror]]
        location = "mirror.registry.com""#;

    #[test]
    fn the_example_of_the_manual_goes_where_the_manual_says() {
        let routes = routes(MANUAL);
        let pulled = asked(&routes, "example.com/foo/image:latest", Purpose::Pull);
        let want = [
            "mirror-0.local/mirror-for-foo/image:latest",
            "mirror-1.local/mirrors/foo/image:latest",
            "internal.example.net/bar/image:latest",
        ];
        assert_eq!(pulled, want);
        assert_eq!(
            asked(&routes, "example.com/foo/image:latest", Purpose::Push),
            ["example.com/foo/image:latest"]
        );
        assert_eq!(
            asked(&routes, "registry.com/image", Purpose::Pull),
            ["mirror.registry.com/image", "registry.com/image"]
        );
        assert_eq!(asked(&routes, "example.com/foobar:1", Purpose::Pull), ["example.com/foobar:1"]);
        let all = routes.of(&"example.com/foo/i".parse().unwrap(), Purpose::Pull).unwrap();
        let how: Vec<_> = all.iter().map(|r| (r.transport, r.unverified, r.is_mirror)).collect();
        let normal = Transport::Automatic;
        assert_eq!(how, [(normal, false, true), (Transport::Insecure, true, true), (normal, false, false)]);
    }

    #[test]
    fn the_longest_prefix_counts_at_whole_words() {
        let routes = routes(
            "[[registry]]\nprefix='*.wild.example'\nlocation='w.example/all'\n\
             [[registry]]\nprefix='*.deep.wild.example'\nlocation='d.example'\n\
             [[registry]]\nprefix='own.wild.example'\nlocation='o.example'\n\
             [[registry]]\nprefix='h.example'\nlocation='a.example'\n\
             [[registry]]\nprefix='h.example/team'\nlocation='b.example/x/y'\n\
             [[registry]]\nprefix='h.example/team/app:1'\nlocation='c.example/one:two'\n\
             [[registry]]\nprefix='docker.io/library'\nlocation='hub.example'",
        );
        let digest = format!("sha256:{}", "0".repeat(64));
        for (image, place) in [
            ("x.wild.example/a:1", "w.example/all/a:1"),
            ("y.x.wild.example:5000/a:1", "w.example/all/a:1"),
            ("x.deep.wild.example/a:1", "d.example/a:1"),
            ("own.wild.example/a:1", "o.example/a:1"),
            ("wild.example/a:1", "wild.example/a:1"),
            ("evilwild.example/a:1", "evilwild.example/a:1"),
            ("h.example/x:1", "a.example/x:1"),
            ("h.example:5000/x:1", "h.example:5000/x:1"),
            ("h.example.evil.example/x:1", "h.example.evil.example/x:1"),
            ("h.example/team/x:1", "b.example/x/y/x:1"),
            ("h.example/team:1", "b.example/x/y:1"),
            ("h.example/teams:1", "a.example/teams:1"),
            ("h.example/team/app:1", "c.example/one:two"),
            ("h.example/team/app:12", "b.example/x/y/app:12"),
            ("nginx:1", "hub.example/nginx:1"),
            ("team/app:1", "docker.io/team/app:1"),
            (&format!("h.example/team@{digest}"), &format!("b.example/x/y@{digest}")),
        ] {
            assert_eq!(asked(&routes, image, Purpose::Pull), [place], "{image}");
        }
    }

    #[test]
    fn mirrors_are_for_the_pulls_they_say() {
        let text = "[[registry]]\nlocation='a.example'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='m.example'\n\
             [[registry]]\nlocation='b.example'\n[[registry.mirror]]\nlocation='d.example'\npull-from-mirror='digest-only'\n\
             [[registry.mirror]]\nlocation='t.example'\npull-from-mirror='tag-only'";
        let routes = routes(text);
        let digest = format!("@sha256:{}", "0".repeat(64));
        let hosts = |image: &str| {
            let all = routes.of(&image.parse().unwrap(), Purpose::Pull).unwrap();
            all.iter().map(|r| r.reference.host().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(hosts("a.example/x:1"), ["a.example"]);
        assert_eq!(hosts(&format!("a.example/x{digest}")), ["m.example", "a.example"]);
        assert_eq!(hosts("b.example/x:1"), ["t.example", "b.example"]);
        assert_eq!(hosts(&format!("b.example/x:1{digest}")), ["d.example", "b.example"]);
    }

    #[test]
    fn what_is_blocked_is_neither_read_nor_written_by_any_way() {
        let text = "[[registry]]\nlocation='bad.example'\nblocked=true\n[[registry]]\nprefix='good.example/hidden'\n\
             location='bad.example/x'\n[[registry]]\nlocation='good.example'\n[[registry.mirror]]\nlocation='bad.example'\n\
             [[registry]]\nprefix='*.bad.example'\nblocked=true";
        let routes = routes(text);
        for image in ["bad.example/x", "BAD.example/x", "a.bad.example/x"] {
            let image: Reference = image.parse().unwrap();
            for purpose in [Purpose::Pull, Purpose::Push] {
                assert!(matches!(routes.of(&image, purpose), Err(Error::Blocked { .. })), "{image}");
            }
        }
        let hidden = "good.example/hidden/y".parse().unwrap();
        assert!(matches!(routes.of(&hidden, Purpose::Pull), Err(Error::Blocked { .. })));
        assert_eq!(asked(&routes, "good.example/x", Purpose::Pull), ["good.example/x"]);
    }

    #[test]
    fn short_names_are_those_of_aliases_and_searches_only() {
        let text = "unqualified-search-registries = ['a.example', 'b.example:5000']\nshort-name-mode = 'MODE'\n\
            [aliases]\nnginx = 'c.example/proxy/nginx'\n'team/app' = 'd.example/app'";
        let digest = format!("@sha256:{}", "0".repeat(64));
        let permissive = routes(&text.replace("MODE", "permissive"));
        let names = |routes: &Routes, name: &str| routes.candidates(name).map(|c| c.map(|c| c.0));
        for (name, want) in [
            ("nginx", Some(vec!["c.example/proxy/nginx".to_owned()])),
            ("nginx:1", Some(vec!["c.example/proxy/nginx:1".to_owned()])),
            (&format!("nginx:1{digest}"), Some(vec![format!("c.example/proxy/nginx:1{digest}")])),
            ("team/app:1", Some(vec!["d.example/app:1".to_owned()])),
            ("redis:7", Some(vec!["a.example/redis:7".to_owned(), "b.example:5000/redis:7".to_owned()])),
            ("e.example/nginx", None),
            ("localhost:5000/nginx", None),
            ("localhost/nginx", None),
            ("docker.io/nginx", None),
            ("a b", None),
        ] {
            assert_eq!(names(&permissive, name).unwrap(), want, "{name}");
        }
        let enforcing = routes(&text.replace("MODE", "enforcing"));
        assert!(enforcing.candidates("redis").is_err());
        assert!(enforcing.candidates("nginx").unwrap().is_some());
        assert_eq!(names(&Routes::default(), "nginx").unwrap(), None);
    }

    #[test]
    fn hosts_of_plain_http_stay_so() {
        let routes = routes("[[registry]]\nlocation='insecure.example'\ninsecure=true");
        for (image, transport, unverified) in [
            ("plain.example/x", Transport::PlainHttp, false),
            ("insecure.example/x", Transport::Insecure, true),
            ("other.example/x", Transport::Automatic, false),
        ] {
            for purpose in [Purpose::Pull, Purpose::Push] {
                let all = routes.of(&image.parse().unwrap(), purpose).unwrap();
                assert_eq!((all[0].transport, all[0].unverified), (transport, unverified), "{image}");
            }
        }
    }
}
