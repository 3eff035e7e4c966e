//! What a registry wants to see with each request, learnt from its first refusal and renewed when it ends.

use crate::{
    Credentials, Error,
    challenge::{self, Challenge},
    credentials::sensitive,
    token::{Token, TokenService},
};
use fetch::client::{Client, HeaderName, HeaderValue, Response, Url};
use std::{collections::BTreeMap, time::Instant};
use tokio::sync::Mutex;

/// Longest scope taken from a challenge.
const SCOPE_BYTES_MAX: usize = 1 << 10;
/// Most tokens kept; a run needs a handful of scopes.
const TOKENS_MAX: usize = 64;

/// What is to be done, in the words of token services.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope(Vec<String>);

impl Scope {
    pub(crate) fn pull(repository: &str) -> Self {
        Scope(vec![format!("repository:{repository}:pull")])
    }

    pub(crate) fn push(repository: &str) -> Self {
        Scope(vec![format!("repository:{repository}:pull,push")])
    }

    /// To push here what lies there.
    pub(crate) fn mount(repository: &str, from: &str) -> Self {
        Scope(vec![format!("repository:{repository}:pull,push"), format!("repository:{from}:pull")])
    }
}

/// The authentication of one registry.
pub(crate) struct Auth {
    host: String,
    credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mode: Mode,
    tokens: BTreeMap<Scope, Token>,
}

#[derive(Default)]
enum Mode {
    /// Nothing was asked for yet.
    #[default]
    Open,
    /// User and password.
    Basic,
    /// The token that we were given.
    Given,
    /// Tokens of a service, with the scope that it asked for beside ours.
    Token(TokenService, BTreeMap<Scope, String>),
}

impl Auth {
    pub(crate) fn new(host: &str, credentials: Credentials) -> Self {
        Auth { host: host.to_owned(), credentials, state: Mutex::default() }
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.credentials == Credentials::Anonymous
    }

    /// What to send with a request of a scope.
    pub(crate) async fn header(&self, client: &Client, scope: &Scope) -> Result<Option<HeaderValue>, Error> {
        let mut state = self.state.lock().await;
        let State { mode, tokens } = &mut *state;
        let (service, asked) = match mode {
            Mode::Open => return Ok(None),
            Mode::Basic => return Ok(self.credentials.basic_header()),
            Mode::Given => return Ok(self.given()),
            Mode::Token(service, asked) => (service, asked),
        };
        if let Some(token) = tokens.get(scope).filter(|t| t.until > Instant::now()) {
            return Ok(Some(token.header.clone()));
        }
        let mut scopes = scope.0.clone();
        scopes.extend(asked.get(scope).filter(|s| !scope.0.contains(s)).cloned());
        let token = service.token(client, &self.host, &self.credentials, &scopes).await?;
        let header = token.header.clone();
        if tokens.len() >= TOKENS_MAX {
            tokens.clear();
        }
        tokens.insert(scope.clone(), token);
        Ok(Some(header))
    }

    fn given(&self) -> Option<HeaderValue> {
        match &self.credentials {
            Credentials::Bearer(token) => sensitive(&format!("Bearer {}", token.expose())),
            _ => None,
        }
    }

    /// Learns from a 401 that a request got which was sent with `used`. Whether it is worth another try.
    pub(crate) async fn learn(
        &self,
        base: &Url,
        response: &Response,
        scope: &Scope,
        used: Option<&HeaderValue>,
    ) -> Result<bool, Error> {
        let challenge = self.choose(response)?;
        let mut state = self.state.lock().await;
        match challenge {
            None => Ok(false),
            Some(Challenge::Basic) => {
                state.mode = Mode::Basic;
                Ok(self.credentials.basic_header().as_ref().is_some_and(|h| Some(h) != used))
            }
            Some(Challenge::Bearer { .. }) if matches!(self.credentials, Credentials::Bearer(_)) => {
                state.mode = Mode::Given;
                Ok(used.is_none())
            }
            Some(Challenge::Bearer { realm, service, scope: asked }) => {
                let service = TokenService::new((base, response.peer()), &self.host, &realm, service).await?;
                state.forget(scope, used);
                state.ask(service, scope, asked);
                Ok(true)
            }
        }
    }

    /// The challenge to answer: a token where there is a choice, else user and password.
    fn choose(&self, response: &Response) -> Result<Option<Challenge>, Error> {
        let wrong = |why: &str| Error::Challenge { host: self.host.clone(), why: why.to_owned() };
        let mut all = Vec::new();
        for header in response.headers(&HeaderName::from_static("www-authenticate")) {
            all.extend(challenge::parse(header).map_err(wrong)?);
        }
        let bearer = all.iter().position(|c| matches!(c, Challenge::Bearer { .. }));
        Ok(if all.is_empty() { None } else { Some(all.swap_remove(bearer.unwrap_or(0))) })
    }
}

impl State {
    /// Drops the token that was just refused. One that somebody else has renewed meanwhile stays.
    fn forget(&mut self, scope: &Scope, used: Option<&HeaderValue>) {
        if self.tokens.get(scope).is_some_and(|t| Some(&t.header) == used) {
            self.tokens.remove(scope);
        }
    }

    fn ask(&mut self, service: TokenService, scope: &Scope, asked: Option<String>) {
        let mut known = match std::mem::take(&mut self.mode) {
            Mode::Token(before, known) if before.realm == service.realm => known,
            _ => BTreeMap::new(),
        };
        if let Some(asked) = asked.filter(|s| !s.is_empty() && s.len() <= SCOPE_BYTES_MAX) {
            known.insert(scope.clone(), asked);
        }
        self.mode = Mode::Token(service, known);
    }
}
