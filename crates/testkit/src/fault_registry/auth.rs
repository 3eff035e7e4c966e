//! Access control: none, user and password, or tokens of a service at `/token` of the same server.

use super::wire::{Answer, Head, field};
use std::{collections::BTreeMap, net::SocketAddr};

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// Everybody everything.
    #[default]
    Open,
    /// Whoever has this `user:password` (as base64) everything.
    Basic(String),
    /// Whoever has a token with the scope; tokens for this `user:password` (as base64), or for anybody.
    Token {
        /// Who gets tokens; `None` gives them to anybody.
        user: Option<String>,
        /// The refresh token that gets tokens too.
        refresh: Option<String>,
        /// How many requests a token is good for.
        uses: usize,
        /// The token service to name; `None` names this server's own.
        realm: Option<String>,
    },
}

#[derive(Default)]
pub(crate) struct Auth {
    access: Access,
    /// Scope and uses left, by token.
    tokens: BTreeMap<String, (String, usize)>,
    given: usize,
    refusing: bool,
}

impl Auth {
    pub(crate) fn new(access: Access) -> Self {
        Auth { access, ..Auth::default() }
    }

    pub(crate) fn expire(&mut self) {
        self.tokens.clear();
    }

    /// From now on gives no more tokens, or gives them again.
    pub(crate) fn refuse(&mut self, refusing: bool) {
        self.refusing = refusing;
    }

    /// Whether a request's `Authorization` is for us, and not for whoever is behind.
    pub(crate) fn is_ours(&self) -> bool {
        self.access != Access::Open
    }

    /// The answer that access control gives, or `None` where it lets the request pass.
    pub(crate) fn answer(&mut self, address: SocketAddr, head: &Head, body: &[u8]) -> Option<Answer> {
        if head.bare_path() == "/token" {
            return Some(self.token(head, body));
        }
        let shown = head.header("authorization");
        match &self.access {
            Access::Open => None,
            Access::Basic(pair) => {
                let good = shown.and_then(|a| a.strip_prefix("Basic ")) == Some(pair);
                let challenge = || Answer::status(401).header("WWW-Authenticate", r#"Basic realm="test""#);
                (!good).then(challenge)
            }
            Access::Token { realm, .. } => {
                let scope = wanted(head);
                let own = format!("http://{address}/token");
                let realm = realm.as_ref().unwrap_or(&own);
                let challenge = format!(
                    r#"Bearer realm="{realm}",service="test registry",scope="{scope}",error="invalid_token""#
                );
                let token = shown.and_then(|a| a.strip_prefix("Bearer ")).unwrap_or("").to_owned();
                let refused = !self.use_token(&token, &scope);
                refused.then(|| Answer::status(401).header("WWW-Authenticate", challenge))
            }
        }
    }

    fn use_token(&mut self, token: &str, scope: &str) -> bool {
        let Some((granted, uses)) = self.tokens.get_mut(token) else { return false };
        let covers = scope.is_empty() || granted.split(' ').any(|g| is_covered(scope, g));
        if !covers || *uses == 0 {
            return false;
        }
        *uses -= 1;
        true
    }

    fn token(&mut self, head: &Head, body: &[u8]) -> Answer {
        let Access::Token { user, refresh, uses, .. } = &self.access else { return Answer::status(404) };
        let form = String::from_utf8_lossy(body).into_owned();
        let basic = head.header("authorization").and_then(|a| a.strip_prefix("Basic "));
        let by_user = head.method == "GET" && (user.is_none() || basic == user.as_deref());
        let by_refresh =
            head.method == "POST" && refresh.is_some() && field(&form, "refresh_token") == *refresh;
        if self.refusing || (!by_user && !by_refresh) {
            return Answer::status(401);
        }
        let query = head.path.split_once('?').map_or("", |(_, q)| q);
        let fields = if by_refresh { form.as_str() } else { query };
        let scopes: Vec<String> = fields.split('&').filter_map(|pair| field(pair, "scope")).collect();
        self.given += 1;
        let token = format!("token-{}", self.given);
        self.tokens.insert(token.clone(), (scopes.join(" "), *uses));
        let name = if by_refresh { "access_token" } else { "token" };
        Answer::status(200).body(format!(r#"{{"{name}":"{token}","expires_in":300}}"#))
    }
}

/// Whether a granted scope has the resource and every action of the wanted one.
fn is_covered(wanted: &str, granted: &str) -> bool {
    let (Some((resource, actions)), Some((have, allowed))) =
        (wanted.rsplit_once(':'), granted.rsplit_once(':'))
    else {
        return false;
    };
    resource == have && actions.split(',').all(|action| allowed.split(',').any(|a| a == action))
}

/// The scope that a request needs.
fn wanted(head: &Head) -> String {
    let path = head.bare_path().strip_prefix("/v2/").unwrap_or("");
    let end =
        ["/manifests/", "/blobs/", "/tags/", "/referrers/"].iter().filter_map(|part| path.find(part)).min();
    let Some(end) = end else { return String::new() };
    let actions = if matches!(head.method.as_str(), "GET" | "HEAD") { "pull" } else { "pull,push" };
    format!("repository:{}:{actions}", &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_name() {
        for (wanted, granted, covered) in [
            ("repository:a/b:pull", "repository:a/b:pull,push", true),
            ("repository:a/b:pull,push", "repository:a/b:pull", false),
            ("repository:a/b:pull", "repository:a/c:pull", false),
        ] {
            assert_eq!(is_covered(wanted, granted), covered, "{wanted} {granted}");
        }
    }
}
