//! Connections to the outside. A name is looked up once per connection, and what was checked is what is connected to.

use super::hosts::{AllowList, Host, Scheme, Target, Trust, reachable};
use super::record::Refusal;
use super::upstream::{Upstream, UpstreamProxy};
use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf},
    net::TcpStream,
    time::timeout,
};

/// Longest time for one look-up; resolvers give up at about the same time.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for one address of a name, so that a dead one leaves time for the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 6;
/// Longest answer head of an upstream proxy to CONNECT.
const TUNNEL_HEAD_BYTES_MAX: u64 = 16 << 10;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// It is not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It did not work.
    #[error("{0}")]
    Failed(String),
}

impl Stop {
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Stop::Failed(what.into())
    }
}

/// Makes connections to what the lists admit.
pub(super) struct Dialer {
    allow: RwLock<AllowList>,
    upstream: Upstream,
}

impl Dialer {
    pub(super) fn new(allow: AllowList, upstream: Upstream) -> Self {
        Dialer { allow: RwLock::new(allow), upstream }
    }

    /// Replaces what the image lists.
    pub(super) fn set_image_hosts(&self, hosts: Vec<super::HostRule>) {
        self.allow.write().unwrap_or_else(PoisonError::into_inner).image = hosts;
    }

    /// Whether a target may be asked, as far as can be told without looking its name up.
    pub(super) fn admit(&self, target: &Target, scheme: Scheme) -> Result<Trust, Refusal> {
        self.allow.read().unwrap_or_else(PoisonError::into_inner).admit(target, scheme)
    }

    /// The upstream proxy of a plain request.
    pub(super) fn plain_proxy(&self, target: &Target) -> Option<&UpstreamProxy> {
        self.upstream.for_plain(target)
    }

    /// A connection for plain requests: to the target itself or to the upstream proxy.
    async fn plain(&self, target: &Target) -> Result<Line, Stop> {
        let trust = self.admit(target, Scheme::Http)?;
        match self.plain_proxy(target) {
            Some(proxy) => {
                beyond(target, trust).await?;
                Ok(Line { stream: to_proxy(proxy).await?, proxied: true })
            }
            None => Ok(Line { stream: direct(target, trust).await?, proxied: false }),
        }
    }

    /// A connection through which the client speaks to the target itself.
    pub(super) async fn tunnel(&self, target: &Target) -> Result<BufReader<TcpStream>, Stop> {
        let trust = self.admit(target, Scheme::Tunnel)?;
        match self.upstream.for_tunnel(target) {
            // The proxy looks the name up; where it then connects to is its operator's to say.
            Some(proxy) => {
                beyond(target, trust).await?;
                through(to_proxy(proxy).await?, proxy, target).await
            }
            None => Ok(BufReader::new(direct(target, trust).await?)),
        }
    }
}

/// Whether an upstream proxy may be asked for a target. One that only a list of mirrors can have named must be public, and
/// the proxy may stand where private addresses are near: what is known here to have one, or has no domain, is refused. A name
/// that cannot be looked up here, as behind many proxies, is left to the proxy.
async fn beyond(target: &Target, trust: Trust) -> Result<(), Stop> {
    let (Trust::Mirrors, Host::Name(name)) = (trust, &target.host) else { return Ok(()) };
    if !name.trim_end_matches('.').contains('.') {
        return Err(Refusal::NotListed { host: name.clone() }.into());
    }
    let found = look_up(name, target.port).await.unwrap_or_default();
    Ok(found.iter().try_for_each(|address| reachable(target, address.ip(), trust))?)
}

async fn direct(target: &Target, trust: Trust) -> Result<TcpStream, Stop> {
    let found = match &target.host {
        Host::Address(ip) => vec![SocketAddr::new(*ip, target.port)],
        Host::Name(name) => look_up(name, target.port).await?,
        // No request names it.
        Host::Public => Vec::new(),
    };
    connect(&usable(target, found, trust)?, &target.host.to_string()).await
}

/// Of the addresses of a target those that may be connected to.
fn usable(target: &Target, found: Vec<SocketAddr>, trust: Trust) -> Result<Vec<SocketAddr>, Refusal> {
    let (mut usable, mut refused) = (Vec::new(), None);
    for address in found {
        match reachable(target, address.ip(), trust) {
            Ok(()) => usable.push(address),
            Err(refusal) => refused = Some(refusal),
        }
    }
    match refused {
        Some(refusal) if usable.is_empty() => Err(refusal),
        _ => Ok(usable),
    }
}

async fn to_proxy(proxy: &UpstreamProxy) -> Result<TcpStream, Stop> {
    let found = look_up(&proxy.host, proxy.port).await?;
    connect(&found, &format!("upstream proxy {}", proxy.host)).await
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, Stop> {
    match timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(Stop::failed(format!("cannot resolve {name}: {error}"))),
        Err(_) => Err(Stop::failed(format!("cannot resolve {name}: no answer in time"))),
    }
}

async fn connect(addresses: &[SocketAddr], shown: &str) -> Result<TcpStream, Stop> {
    let mut last = "it has no address".to_owned();
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and wait for their answers; a failure only costs time.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer in time"),
        }
    }
    Err(Stop::failed(format!("cannot connect to {shown}: {last}")))
}

/// Asks an upstream proxy for a tunnel and reads its answer, and not one byte of what follows it is lost.
async fn through(
    stream: TcpStream,
    proxy: &UpstreamProxy,
    target: &Target,
) -> Result<BufReader<TcpStream>, Stop> {
    let mut line = BufReader::new(stream);
    let authority = format!("{}:{}", target.host, target.port);
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(value) = &proxy.credentials {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let talk = async {
        line.get_mut().write_all(&head).await?;
        read_status(&mut line).await
    };
    match timeout(super::IDLE_TIMEOUT, talk).await {
        Ok(Ok(200..=299)) => Ok(line),
        Ok(Ok(407)) => Err(Stop::failed("the upstream proxy asks for credentials (407)")),
        Ok(Ok(status)) => Err(Stop::failed(format!("the upstream proxy answers {status}"))),
        Ok(Err(error)) => Err(Stop::failed(format!("the upstream proxy breaks off: {error}"))),
        Err(_) => Err(Stop::failed("the upstream proxy does not answer in time")),
    }
}

async fn read_status(line: &mut BufReader<TcpStream>) -> io::Result<u16> {
    let mut head = line.take(TUNNEL_HEAD_BYTES_MAX);
    let (mut status, mut row) = (None, Vec::new());
    loop {
        row.clear();
        if head.read_until(b'\n', &mut row).await? == 0 || !row.ends_with(b"\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = row.trim_ascii_end();
        match status {
            None => status = Some(parse_status(text).ok_or(io::ErrorKind::InvalidData)?),
            Some(known) if text.is_empty() => return Ok(known),
            Some(_) => {}
        }
    }
}

fn parse_status(row: &[u8]) -> Option<u16> {
    let row = std::str::from_utf8(row).ok()?.strip_prefix("HTTP/1.")?;
    row.split(' ').nth(1)?.parse().ok()
}

/// A connection for plain requests.
pub(super) struct Line {
    stream: TcpStream,
    proxied: bool,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        // `proxy` makes the client write the whole URL in the request line.
        Connected::new().proxy(self.proxied)
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The dialer as the pooling client of plain requests wants it.
#[derive(Clone)]
pub(super) struct Connector(pub(super) Arc<Dialer>);

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Line>;
    type Error = Stop;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Stop>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.0.clone();
        Box::pin(async move {
            let authority = uri.authority().ok_or(Refusal::Form)?;
            let target = Target::of(authority.as_str(), Scheme::Http).map_err(Refusal::from)?;
            dialer.plain(&target).await.map(TokioIo::new)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Trust = Trust::Image(Scheme::Http);

    #[test]
    fn a_tunnel_to_a_private_address_ends_at_the_port_of_https() {
        let at = |ips: &[&str], port| {
            ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect::<Vec<_>>()
        };
        let private = ["10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1"];
        for (port, trust, admitted) in [
            (443, Trust::Image(Scheme::Tunnel), true),
            (6379, Trust::Image(Scheme::Tunnel), false),
            (8443, Trust::Image(Scheme::Tunnel), false),
            (8080, IMAGE, true),
            (6379, Trust::Operator, true),
        ] {
            let target = Target { host: Host::Name("mirror.example".into()), port };
            for ip in private {
                let usable = usable(&target, at(&[ip], port), trust);
                assert_eq!(usable.is_ok(), admitted, "{ip} {port} {trust:?}");
            }
            let mixed = usable(&target, at(&["10.0.0.5", "203.0.113.1"], port), trust).unwrap();
            assert_eq!(mixed.len(), 1 + usize::from(admitted), "{port} {trust:?}");
        }
    }

    #[test]
    fn a_name_is_connected_to_only_where_it_may_be() {
        let target = Target::of("mirror.example", Scheme::Http).unwrap();
        let at =
            |ips: &[&str]| ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)).collect::<Vec<_>>();
        let metadata = usable(&target, at(&["169.254.169.254"]), IMAGE);
        assert!(
            metadata.unwrap_err().to_string().contains("mirror.example is at 169.254.169.254 (link-local)")
        );
        assert!(usable(&target, at(&["127.0.0.1", "::1"]), IMAGE).is_err());
        for (found, left) in
            [(&["::1", "10.0.0.1"][..], &["10.0.0.1"][..]), (&["203.0.113.1"], &["203.0.113.1"]), (&[], &[])]
        {
            assert_eq!(usable(&target, at(found), IMAGE), Ok(at(left)));
        }
        assert_eq!(usable(&target, at(&["127.0.0.1"]), Trust::Operator), Ok(at(&["127.0.0.1"])));
    }

    #[tokio::test]
    async fn no_proxy_is_asked_for_mirrors_that_are_private() {
        for (name, trust, asked) in [
            ("10.0.0.9", Trust::Mirrors, false),
            ("127.0.0.1", Trust::Mirrors, false),
            ("intranet", Trust::Mirrors, false),
            ("localhost.", Trust::Mirrors, false),
            ("nowhere.invalid", Trust::Mirrors, true),
            ("203.0.113.7", Trust::Mirrors, true),
            ("10.0.0.9", IMAGE, true),
            ("intranet", Trust::Operator, true),
        ] {
            let target = Target { host: Host::Name(name.into()), port: 443 };
            assert_eq!(beyond(&target, trust).await.is_ok(), asked, "{name} {trust:?}");
        }
    }

    #[test]
    fn status_lines_of_proxies_are_read() {
        assert_eq!(parse_status(b"HTTP/1.1 200 Connection established"), Some(200));
        assert_eq!(parse_status(b"HTTP/1.0 407"), Some(407));
        for bad in [&b"HTTP/2 200"[..], b"200", b"HTTP/1.1", b"SSH-2.0-x"] {
            assert_eq!(parse_status(bad), None);
        }
    }
}
