//! One request as a value that can be sent more than once.

use super::address::Reach;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::{io, sync::Arc};
use tokio::io::AsyncRead;

/// Bytes to send, read once.
pub type BodyReader = Box<dyn AsyncRead + Send + Unpin>;

/// Opens a body from its beginning.
type OpenBody = Arc<dyn Fn() -> BoxFuture<'static, io::Result<BodyReader>> + Send + Sync>;

/// What to send.
#[derive(Clone)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes at hand.
    Bytes(Bytes),
    /// So many bytes from a reader that can be opened again, for a repetition.
    Stream {
        /// Exactly how many.
        size: u64,
        /// Opens it.
        open: OpenBody,
    },
}

/// A request.
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) body: Body,
    pub(crate) reach: Reach,
    pub(crate) repeat: bool,
}

impl Request {
    /// A request without body.
    pub fn new(method: Method, url: Url) -> Self {
        let headers = HeaderMap::new();
        Request {
            method,
            url,
            headers,
            authorization: None,
            body: Body::Empty,
            reach: Reach::Named,
            repeat: true,
        }
    }

    /// `GET`.
    pub fn get(url: Url) -> Self {
        Request::new(Method::GET, url)
    }

    /// `HEAD`.
    pub fn head(url: Url) -> Self {
        Request::new(Method::HEAD, url)
    }

    /// Sets one header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets `Authorization`. It goes to the origin of this request's URL and nowhere else, whatever redirects say.
    pub fn authorization(mut self, value: Option<HeaderValue>) -> Self {
        self.authorization = value.map(|mut v| {
            v.set_sensitive(true);
            v
        });
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sets how far it may reach.
    pub fn reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// Never repeats it by itself.
    pub fn once(mut self) -> Self {
        self.repeat = false;
        self
    }

    /// Where it goes.
    pub fn url(&self) -> &Url {
        &self.url
    }
}
