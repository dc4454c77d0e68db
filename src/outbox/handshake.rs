//! The server process that the handshake named. The driver exposes it only inside a cancel request, so one is written into a buffer
//! instead of a socket.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The process id, from the end of a cancel request: length, code, process, secret, four bytes each.
pub(super) async fn process_id(client: &Client) -> Option<i32> {
    let sink = Sink::default();
    client.cancel_token().cancel_query_raw(sink.clone(), Plain).await.ok()?;
    let written = sink.0.lock();
    match written.as_slice() {
        [.., a, b, c, d, _, _, _, _] => Some(i32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// A stream that keeps everything written to it, and agrees to TLS if the driver asks for it.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

/// A TLS connector that passes the stream through unencrypted.
struct Plain;

impl TlsConnect<Sink> for Plain {
    type Stream = Sink;
    type Error = io::Error;
    type Future = Ready<io::Result<Sink>>;

    fn connect(self, stream: Sink) -> Self::Future {
        ready(Ok(stream))
    }
}

impl TlsStream for Sink {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // The answer to a request for TLS; nothing else is ever read.
        buffer.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
