//! Credentials for one registry.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fetch::client::{HeaderValue, Secret};

/// Who we are to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nobody.
    #[default]
    Anonymous,
    /// A user with password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token (docker: `identitytoken`), to be exchanged at the token service.
    Identity(Secret),
    /// A bearer token to be used as it is (docker: `registrytoken`).
    Bearer(Secret),
}

impl Credentials {
    /// `Authorization: Basic …`, where there is a user with a password.
    pub(crate) fn basic_header(&self) -> Option<HeaderValue> {
        let Credentials::Basic { username, password } = self else { return None };
        let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
        sensitive(&format!("Basic {pair}"))
    }
}

/// A header value that is not printed. `None` where the text can be no header.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
