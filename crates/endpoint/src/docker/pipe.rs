//! Bytes to a daemon and back: a socket, a port with TLS or without, the program that ssh runs on another machine.

use super::settings::{Destination, Place};
use rustls::pki_types::ServerName;
use std::{
    io,
    path::Path,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// How long a daemon may take to take a connection; ssh has handshakes to do.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Both directions.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// Connects.
pub(super) async fn connect(place: &Place) -> io::Result<Box<dyn Pipe>> {
    let connecting = async {
        Ok::<Box<dyn Pipe>, io::Error>(match place {
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Place::Tcp { host, port, tls: None } => {
                Box::new(TcpStream::connect((host.as_str(), *port)).await?)
            }
            Place::Tcp { host, port, tls: Some(tls) } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                Box::new(tokio_rustls::TlsConnector::from(tls.config.clone()).connect(name, stream).await?)
            }
            Place::Ssh { program, destination } => Box::new(ssh(program, destination)?),
        })
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
    tokio::time::timeout(CONNECT_LIMIT, connecting).await.map_err(|_| late())?
}

/// A program whose standard input and output are the connection. It ends when this is dropped.
struct Program {
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

/// As docker's own command line starts it.
fn ssh(program: &Path, destination: &Destination) -> io::Result<Program> {
    let mut command = Command::new(program);
    command.args(["-T", "-o", "ConnectTimeout=30"]);
    if let Some(user) = &destination.user {
        command.args(["-l", user]);
    }
    if let Some(port) = destination.port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", &destination.host, "docker", "system", "dial-stdio"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (input, output) = pipes.ok_or_else(|| io::Error::other("ssh has no pipes"))?;
    Ok(Program { _child: child, input, output })
}

impl AsyncRead for Program {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Program {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}
